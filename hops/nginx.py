"""Hop `nginx`: does it answer by itself, would it start again, and may it write what it must?"""

from collections.abc import Iterator

import requests

from hops.causes import broken
from hops.finding import Finding, blocked, ok
from hops.site import NOWHERE, TIMEOUT, Site


def check(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with nginx itself; asks for an address that needs no other hop."""
    if not site.state(site.nginx).running:
        yield blocked("nginx", "port")
        return
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

    identity = site.nginx_identity
    for name in ("client_body_temp_path", "uwsgi_temp_path"):
        setting = site.server.get(name)
        if (
            setting
            and site.stack.exec(site.nginx, "test", "-w", setting.words[1], user=identity).code
        ):
            path, blame = site.why_not("w", setting.words[1])
            yield broken(
                "nginx-temp-unwritable",
                f"{path}: {blame}",
                identity=identity,
                path=path,
                volume=site.stack.volume(site.nginx, path),
            )
            return
    yield ok("nginx", f"it answers by itself ({answer.status_code}) and would start again")
