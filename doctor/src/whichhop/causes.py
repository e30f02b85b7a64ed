"""
The registry of all causes, of the checks and of the blackbox, and the generator of docs/causes.md.

Each cause is a failure that users really have, and each has a test that reproduces it.
"""

from itertools import chain as together

from whichhop.blackbox import CHECKS as BLACKBOX_CHECKS
from whichhop.checks import (
    app_container,
    chain,
    database,
    django,
    media,
    nginx,
    port,
    recent,
    services,
    shared,
    socket,
    static,
    tls,
    uwsgi,
    uwsgi_options,
    vassals,
)
from whichhop.finding import HOPS, Cause, merge

# Found on the machine.
CAUSES = merge(
    port.CAUSES,
    tls.CAUSES,
    nginx.CAUSES,
    static.CAUSES,
    media.CAUSES,
    socket.CAUSES,
    uwsgi.CAUSES,
    app_container.CAUSES,
    uwsgi_options.CAUSES,
    vassals.CAUSES,
    django.CAUSES,
    database.CAUSES,
    chain.CAUSES,
    services.CAUSES,
    recent.CAUSES,
    shared.CAUSES,
)
# Found from outside. A slug in both is the same cause.
BLACKBOX = merge(*(check.CAUSES for check in BLACKBOX_CHECKS.values()))

# Failures of this chain without a cause here, and what is reported instead.
NOT_NAMED = (
    "Which rule of SELinux or AppArmor denies a socket: `socket-denied-by-policy` says that one does.",
    "systemd's part in a stack without Compose: `PrivateTmp`, a `/run` that is empty after a restart.",
    "That uWSGI's tables for a million file descriptors ate the memory: `app-out-of-memory` shows the line.",
    "Failures by chance: a connection that is reset because a view did not read its body, an answer cut off"
    " after its headers, a database connection that two workers share since a fork.",
    "What needs an outer proxy to see: visitors who all have the proxy's address. (`--url` tells whether a"
    " visitor can lie about scheme and host.)",
    "A site under a path (`SCRIPT_NAME`), logs in different time zones, a `SECRET_KEY` that changes with"
    " every start.",
)


def table() -> str:
    """Return docs/causes.md."""
    slugs = dict.fromkeys(together(CAUSES, BLACKBOX))
    rows = sorted(slugs, key=lambda slug: HOPS.index(_entries(slug)[0].hop))
    return (
        "# What the doctor can name\n\n"
        "Made by `whichhop --list-causes`. Words in braces are filled in with what was found. Where a cause"
        " can be seen from outside too (`--url`), what is said then stands behind ⟂.\n\n"
        "| cause | hop | you see | what is wrong | what to do | |\n|---|---|---|---|---|---|\n"
        + "".join(map(_row, rows))
        + "\n## What it does not name\n\n"
        + "".join(f"- {line}\n" for line in NOT_NAMED)
    )


def _entries(slug: str) -> list[Cause]:
    return [causes[slug] for causes in (CAUSES, BLACKBOX) if slug in causes]


def _row(slug: str) -> str:
    entries = _entries(slug)
    cells = [
        " ⟂ ".join(dict.fromkeys(str(part) for part in parts))
        for parts in zip(
            *((e.hop, e.symptom, e.wrong, e.fix.text, e.fix.kind) for e in entries), strict=True
        )
    ]
    row = f"| `{slug}` | {' | '.join(cells)} |\n"
    return row.replace("{{", "{").replace("}}", "}")
