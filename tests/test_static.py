"""Hop `static`: nginx serves the very files that were collected, under names that hold their hash."""

import hashlib
import re

import pytest
import requests

from hops.stack import Stack

TYPES = {
    "css": "text/css",
    "js": "application/javascript",
    "svg": "image/svg+xml",
    "json": "application/json",
    "txt": "text/plain",
}
HASHED = re.compile(r"\.([0-9a-f]{12})\.[^/]+$")


def links(stack: Stack, path: str) -> list[str]:
    """Return the addresses under /static/ that a page names."""
    return sorted(
        set(re.findall(r'"(/static/[^"]+)"', requests.get(stack.url + path, timeout=5).text))
    )


@pytest.mark.parametrize("page", ["/", "/admin/login/"])
def test_what_a_page_links_to_is_what_was_collected(stack: Stack, page: str) -> None:
    found = links(stack, page)
    assert len(found) >= 2
    for link in found:
        answer = requests.get(stack.url + link, timeout=5)
        assert answer.status_code == 200, link
        collected = stack.run("app", "sha256sum", link.replace("/static/", "/collected/")).split()[
            0
        ]
        assert hashlib.sha256(answer.content).hexdigest() == collected, link
        assert answer.headers["Content-Type"].split(";")[0] == TYPES[link.rsplit(".", 1)[1]]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.headers["X-Request-ID"]) == 32
        # The name holds the MD5 of the content: django.contrib.staticfiles.storage.
        named = HASHED.search(link)
        assert named, f"no hash in {link}"
        assert hashlib.md5(answer.content).hexdigest()[:12] == named[1]  # noqa: S324
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_a_name_without_a_hash_is_asked_for_again(stack: Stack) -> None:
    address = f"{stack.url}/static/welcome/landing.css"
    first = requests.get(address, timeout=5)
    assert first.headers["Cache-Control"] == "no-cache"
    again = requests.get(address, headers={"If-None-Match": first.headers["ETag"]}, timeout=5)
    assert again.status_code == 304


def test_a_missing_file_is_never_immutable(stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/static/gone.0123456789ab.css", timeout=5)
    assert answer.status_code == 404
    assert "immutable" not in answer.headers["Cache-Control"]


def test_static_files_can_only_be_read(stack: Stack) -> None:
    address = f"{stack.url}/static/welcome/landing.css"
    assert requests.head(address, timeout=5).status_code == 200
    for method in ("POST", "PUT", "DELETE"):
        assert requests.request(method, address, timeout=5).status_code == 405
    assert requests.get(f"{stack.url}/static/", timeout=5).status_code == 403


def test_the_manifest_is_djangos_own(stack: Stack) -> None:
    assert requests.get(f"{stack.url}/static/staticfiles.json", timeout=5).status_code == 404


def test_python_is_not_asked(stack: Stack) -> None:
    requests.get(f"{stack.url}/static/welcome/landing.css?who-serves-this", timeout=5)
    assert stack.log_entry("nginx", "?who-serves-this")["upstream_status"] == ""


def test_init_refreshes_what_changed_and_keeps_what_older_pages_need(stack: Stack) -> None:
    """A named volume is filled from its image only once; later releases need init."""
    older = "/srv/static/welcome/landing.000000000000.css"
    stack.compose(
        "run",
        "--rm",
        "--no-deps",
        "init",
        "bash",
        "-c",
        f"echo old >{older}; echo bad >/srv/static/welcome/landing.css",
    )
    try:
        stack.compose("run", "--rm", "--no-deps", "init")
        assert (
            requests.get(f"{stack.url}/static/welcome/{older.rsplit('/')[-1]}", timeout=5).text
            == "old\n"
        )
        refreshed = requests.get(f"{stack.url}/static/welcome/landing.css", timeout=5).text
        assert refreshed == stack.run("app", "cat", "/collected/welcome/landing.css")
    finally:
        stack.compose("run", "--rm", "--no-deps", "init", "rm", older)
