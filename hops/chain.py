"""Hop `chain`: one request, one id, seen at every hop in order."""

import secrets
from collections.abc import Iterator

import requests

from hops.causes import broken
from hops.finding import Finding, blocked, ok, unknown
from hops.site import Site
from hops.stack import StackError


def check(site: Site) -> Iterator[Finding]:
    """Yield whether a request for an address that Django does not know can be followed."""
    try:
        answer = site.get(f"/doctor-{secrets.token_hex(8)}")
    except requests.RequestException as error:
        yield unknown("chain", f"no answer: {error}")
        return
    if answer.status_code >= 500:
        yield blocked("chain", f"what makes nginx answer {answer.status_code}")
        return
    request_id = answer.headers.get("X-Request-ID")
    if not request_id:
        yield unknown("chain", "the answer has no X-Request-ID")
        return
    for service in (site.nginx, site.app):
        try:
            site.stack.log_entry(service, request_id)
        except StackError:
            yield broken("request-id-lost", request_id=request_id, service=service)
            return
    yield ok("chain", f"request {request_id} is in the answer, in nginx's log and in Django's")
