"""Hop `chain`: one request, one id, seen at every hop in order."""

import re
import secrets
from collections.abc import Iterator

import requests

from whichhop.finding import Cause, Causes, Finding, blocked, config, ok, unknown
from whichhop.target.site import Site
from whichhop.target.stack import StackError

CAUSES = Causes(
    {
        "request-id-lost": Cause(
            "chain",
            "a request cannot be followed through the logs",
            "The id {request_id} of an answer is not in the log of {service}.",
            config(
                "pass the header on in uwsgi_params, and log it with each line of nginx and of the app"
            ),
        ),
    }
)


def check(site: Site) -> Iterator[Finding]:
    """Yield whether a request for a URL that Django does not know can be traced."""
    path = f"/doctor-{secrets.token_hex(8)}"
    try:
        answer = site.visitor.get(path)
    except requests.RequestException as error:
        yield unknown("chain", f"no answer: {error}")
        return
    if answer.status_code >= 500:
        yield blocked("chain", f"what makes nginx answer {answer.status_code}")
        return
    header = site.declaration.request_id if site.visitor.is_declared else ""
    request_id = answer.headers.get(header) if header else None
    if not (request_id and site.nginx.has_log and site.app.has_log):
        yield _without_id(site, path, answer.status_code)
        return
    for service in (site.nginx, site.app):
        try:
            site.stack.log_entry(service.name, request_id)
        except StackError:
            if service is site.app and not service.last_lines(re.escape(path), 1):
                break  # it does not log such an answer, so it cannot have lost the id
            yield CAUSES.broken(site, "request-id-lost", request_id=request_id, service=service)
            return
    else:
        yield ok("chain", f"request {request_id} is in the answer, in nginx's log and in Django's")
        return
    yield ok(
        "chain",
        f"request {request_id} is in the answer and in nginx's log;"
        f" {site.app} logs nothing of such an answer ({answer.status_code})",
    )


def _without_id(site: Site, path: str, status: int) -> Finding:
    """Return how far a request can be traced in a stack that declares no request id."""
    seen = [str(each) for each in (site.nginx, site.app) if each.last_lines(re.escape(path), 1)]
    where = f"; its address is in the log of {' and '.join(seen)}" if seen else ""
    return ok("chain", f"a request goes through every hop ({status}){where}")
