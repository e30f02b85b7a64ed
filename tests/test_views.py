"""What views do, and what becomes of it on its way through nginx and uWSGI (tests/views)."""

from collections.abc import Callable, Iterator

import pytest
import requests

from tests.conftest import started
from tests.support.raw import exchange
from tests.support.stack import Stack

FILES = "compose.yaml:tests/views/compose.yaml"


@pytest.fixture(scope="module")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """`stack`, for the tests of this file: with the views of tests/views."""
    with started(make_stack(COMPOSE_FILE=FILES), pytestconfig) as stack:
        yield stack


# -- conditional writes


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_who_read_the_last_version_may_save_the_next(stack: Stack, encoding: str) -> None:
    """nginx makes the ETag of a page that it compresses a weak one, which fits no If-Match."""
    address = f"{stack.url}/note"
    page = requests.get(address, headers={"Accept-Encoding": encoding}, timeout=5)
    assert page.headers.get("Content-Encoding", "identity") == encoding
    tag = page.headers["ETag"]
    assert tag.startswith('W/"' if encoding == "gzip" else '"')

    def save(text: str) -> int:
        return requests.put(address, text, headers={"If-Match": tag}, timeout=5).status_code

    assert save(f"by {encoding}") == 204
    assert save("too late") == 412
    assert requests.get(address, timeout=5).json()["text"] == f"by {encoding}"


# -- slashes in a path


def get(stack: Stack, path: str) -> str:
    """Return what is at a path, asked for just as it is written; fail when that is no 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    [(answer, body)] = exchange(stack, request.encode())
    assert answer.status == 200, body
    return body


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/fetch/https://example.org//x", "https://example.org//x"),
        ("/fetch/a%2F%2Fb", "a//b"),
    ],
)
def test_a_path_reaches_the_view_with_its_slashes(stack: Stack, path: str, seen: str) -> None:
    assert get(stack, path) == seen


def test_a_file_is_found_behind_any_number_of_slashes(stack: Stack) -> None:
    assert get(stack, "/static//welcome/landing.css").startswith(":root")


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("//", "/"),
        ("///fetch//a%3F?b=//c", "/fetch//a%3F?b=//c"),
        ("//static/welcome/landing.css", "/static/welcome/landing.css"),
        ("//private/a.pdf", "/private/a.pdf"),  # and there is nothing for a visitor
        ("/%2Ffetch/a", None),
        (r"//\evil.example", None),
    ],
)
def test_a_path_begins_with_one_slash(stack: Stack, path: str, leads_to: str | None) -> None:
    """A browser would take more for another host's name, where a view redirects to its own path."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    [(answer, _)] = exchange(stack, request.encode())
    assert (answer.status, answer.getheader("Location")) == (308 if leads_to else 404, leads_to)


# -- a private file that nginx cannot read

FILE = "/srv/media/private/file"


@pytest.mark.expect_log(r"/private/file")
@pytest.mark.parametrize(
    "spoil", [f"chmod 600 {FILE}", f"ln -sfT /etc/passwd {FILE}", f"rm {FILE}"]
)
def test_an_error_page_is_no_download(stack: Stack, spoil: str) -> None:
    """What the view said of the file does not stick to it, and of a file that is there nothing is lost."""
    stack.run("app", "bash", "-c", f"rm -f {FILE}; echo text >{FILE}")
    there = requests.get(f"{stack.url}/accelerated", timeout=5)
    assert (there.status_code, there.text) == (200, "text\n")
    assert there.headers["Content-Disposition"] == "attachment; filename=file.pdf"
    assert there.headers["Cache-Control"] == "private, max-age=600"
    assert there.cookies.get_dict().keys() == {"one", "two"}

    stack.run("app", "bash", "-c", spoil)
    answer = requests.get(f"{stack.url}/accelerated", timeout=5)
    assert answer.status_code in (403, 404)
    assert answer.headers["X-Request-ID"] in answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.raw.headers.getlist("Cache-Control") == ["no-store"]
    assert not {"Content-Disposition", "Set-Cookie", "Expires"} & {*answer.headers}
