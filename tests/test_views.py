"""What views do, and what becomes of it on its way through nginx and uWSGI (tests/views)."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from tests.conftest import ROOT, started
from tests.support.configurations import change, wait_for_verdict
from tests.support.raw import exchange
from tests.support.stack import Stack
from tests.support.workers import workers

FILES = "compose.yaml:tests/views/compose.yaml"
SECONDS = 6


@pytest.fixture(scope="module")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """`stack`, for the tests of this file: with the views of tests/views, and little time for each."""
    with started(
        make_stack(COMPOSE_FILE=FILES, SITE_REQUEST_TIMEOUT=str(SECONDS)), pytestconfig
    ) as stack:
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


# -- a body that is large


@pytest.mark.expect_log("RequestDataTooBig|TooManyFieldsSent|TooManyFilesSent|exceeded settings")
@pytest.mark.parametrize(
    ("setting", "body"),
    [
        ("MEMORY_SIZE", {"data": b"x" * 3_000_000}),
        ("NUMBER_FIELDS", {"data": {f"field{number}": "x" for number in range(1001)}}),
        ("NUMBER_FILES", {"files": {f"file{number}": b"x" for number in range(101)}}),
    ],
)
def test_what_is_no_file_has_a_limit_of_its_own(
    stack: Stack, setting: str, body: dict[str, Any]
) -> None:
    """Django's, far below SITE_MAX_UPLOAD_MB; and the log names the setting that moves it."""
    answer = requests.post(f"{stack.url}/form", timeout=10, **body)
    assert answer.status_code == 400
    event = stack.log_entry("app", answer.headers["X-Request-ID"])
    assert f"DATA_UPLOAD_MAX_{setting}" in json.dumps(event)


# -- streams, and answers that are not whole

DOCS = (ROOT / "docs/streaming.md").read_text()


def block(language: str) -> str:
    """Return the one block of code in a language that docs/streaming.md has."""
    [text] = re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    return str(text)


@pytest.mark.expect_log(
    r'"level": "ERROR"|^Traceback|HARAKIRI|DAMN'  # of the app, which says what it broke off
)
@pytest.mark.parametrize("path", ["/stuck", "/large/1100"])
def test_no_answer_that_is_cut_off_looks_whole(stack: Stack, path: str) -> None:
    """Neither from a view that never ends, nor where the client takes longer than the view has."""
    began = time.time()
    with requests.get(stack.url + path, stream=True, timeout=60) as answer:
        assert answer.status_code == 200
        if path != "/stuck":  # nginx takes what it can, and then the view has to stop
            stack.wait("it is broken off", lambda: "broke off" in stack.logs("app", began), 30)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            for _ in answer.iter_content(2**20):
                pass


@pytest.fixture
def streams(stack: Stack) -> Iterator[str]:
    """The address of a stream, with the location that docs/streaming.md has for it."""
    assert block("python") in (ROOT / "tests/views/views_urls.py").read_text()
    old = workers(stack, "nginx")
    before = stack.run("nginx", "readlink", "/srv/nginx/current").strip()
    add = f"cp -r current/. streams; echo '{block('nginx')}' >>streams/server_name.conf"
    change(stack, f"{add}; ln -sfT streams current")
    try:
        wait_for_verdict(stack, "loaded")
        stack.wait("new workers", lambda: not old & workers(stack, "nginx"), 30)
        yield f"{stack.url}/events/"
    finally:
        change(stack, f"ln -sfT {before} current; rm -r streams")
        wait_for_verdict(stack, "loaded")


@pytest.mark.expect_log('"uri":"/events/".*"status":503')
def test_streams_reach_the_client_at_once_and_starve_no_page(stack: Stack, streams: str) -> None:
    """Of four workers they take two, whoever asks; and each ends by itself, as a whole answer."""
    with ExitStack() as opened:
        answers = [
            opened.enter_context(requests.get(streams, stream=True, timeout=30)) for _ in range(6)
        ]
        assert sorted(answer.status_code for answer in answers) == [200] * 2 + [503] * 4
        lines = [
            answer.iter_lines(chunk_size=1, decode_unicode=True)
            for answer in answers
            if answer.status_code == 200
        ]
        began = time.monotonic()
        assert requests.get(stack.url, timeout=5).status_code == 200
        assert [next(each) for each in lines] == ["retry: 1000"] * 2
        assert time.monotonic() - began < 2, "held back"
        for each in lines:
            assert sum(line.startswith("data: ") for line in each) == SECONDS * 2 // 3
