"""Hop `nginx`: does it answer by itself, would it start again, and may it write what it must?"""

from collections.abc import Iterator

import requests

from hops.causes import broken
from hops.finding import Finding, ok
from hops.site import NOWHERE, TIMEOUT, Site


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with nginx itself; asks for an address that needs no other hop."""
    test = site.stack.exec(site.nginx, "nginx", "-t")
    if test.code:
        error = next(
            (line for line in test.err.splitlines() if "[emerg]" in line), test.err.strip()
        )
        yield broken("nginx-config-invalid", *test.err.splitlines(), error=error)
        return
    try:
        answer = site.get(NOWHERE)
    except requests.RequestException as error:
        yield broken("nginx-does-not-answer", str(error), seconds=TIMEOUT)
        return

    for name in ("client_body_temp_path", "uwsgi_temp_path"):
        setting = site.server.get(name)
        if setting is None:
            continue
        path, identity = setting.words[1], site.nginx_identity
        if site.stack.exec(site.nginx, "test", "-w", path, user=identity).code:
            denied = site.why_not("w", path)
            volume = site.stack.volume(site.nginx, denied["path"])
            seen = "{path}: {blame}".format(**denied)
            yield broken("nginx-temp-unwritable", seen, volume=volume, **denied)
            return
    yield ok("nginx", f"it answers by itself ({answer.status_code}) and would start again")
