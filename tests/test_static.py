"""Hop `static`: nginx serves the very files that were collected, under names that hold their hash."""

import gzip
import hashlib
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.support.people import png
from tests.support.raw import exchange
from tests.support.stack import Stack

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "application/javascript; charset=utf-8",
    "mjs": "application/javascript; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "map": "application/json; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "wasm": "application/wasm",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
    "ttc": "font/collection",
    "eot": "application/vnd.ms-fontobject",
    "ico": "image/x-icon",
    "avif": "image/avif",
    "webp": "image/webp",
    "png": "image/png",
    "unknown": "application/octet-stream",
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
        assert answer.headers["Content-Type"] == TYPES[link.rsplit(".", 1)[1]]
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


# -- compressed when the image was built

# What a client accepts, and what it then gets: the ending of the file that is sent.
CODINGS = [
    ("", ""),
    ("identity", ""),
    ("gzip, deflate, br, zstd", ".br"),  # every current browser
    ("br", ".br"),
    ("gzip, deflate", ".gz"),
    ("br;q=0, gzip", ".gz"),
    ("gzip;q=0, br;q=0.000", ""),
    ("brx", ""),
]
SENT_AS = {".br": "br", ".gz": "gzip", "": None}


def ask(stack: Stack, path: str, method: str = "GET", **headers: str) -> requests.Response:
    """Return the answer for a static file; its ``raw`` has the bytes as they were sent."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Accept-Encoding", "identity")
    return requests.request(method, stack.url + path, headers=named, timeout=5, stream=True)


@pytest.fixture(params=["landing.css", "landing with a hash"])
def style(request: pytest.FixtureRequest, stack: Stack) -> str:
    """The address of a file that is worth compressing."""
    if request.param == "landing.css":
        return "/static/welcome/landing.css"
    return next(link for link in links(stack, "/") if link.endswith(".css"))


@pytest.mark.parametrize(("accepted", "suffix"), CODINGS)
def test_a_compressed_file_is_sent_as_it_was_made(
    stack: Stack, style: str, accepted: str, suffix: str
) -> None:
    answer = ask(stack, style, Accept_Encoding=accepted)
    sent = answer.raw.read(decode_content=False)
    made = stack.run("app", "sha256sum", style.replace("/static/", "/collected/") + suffix).split()
    assert hashlib.sha256(sent).hexdigest() == made[0]
    assert answer.headers.get("Content-Encoding") == SENT_AS[suffix]
    assert answer.headers["Content-Length"] == str(len(sent))
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == TYPES["css"]

    head = ask(stack, style, "HEAD", Accept_Encoding=accepted)
    assert head.raw.read() == b""
    own = {"Date", "X-Request-ID"}
    assert {name: head.headers[name] for name in head.headers if name not in own} == {
        name: answer.headers[name] for name in answer.headers if name not in own
    }


def test_each_form_of_a_file_is_told_from_the_others(stack: Stack, style: str) -> None:
    """A 304, or the rest of a download, must never be about bytes that the client does not have."""
    tags = {
        coding: ask(stack, style, Accept_Encoding=coding).headers["ETag"]
        for coding in ("identity", "gzip", "br")
    }
    assert len(set(tags.values())) == 3
    for asked in tags:
        for coding, tag in tags.items():
            answer = ask(stack, style, Accept_Encoding=asked, If_None_Match=tag)
            assert answer.status_code == (304 if asked == coding else 200), (asked, coding)
            if answer.status_code == 304:
                assert answer.headers["Vary"] == "Accept-Encoding"
                assert answer.headers["ETag"] == tag

            part = ask(stack, style, Accept_Encoding=asked, Range="bytes=100-", If_Range=tag)
            whole = ask(stack, style, Accept_Encoding=asked).raw.read(decode_content=False)
            body = part.raw.read(decode_content=False)
            # A server may ignore a range, and nginx does for brotli; it may not send a wrong part.
            if asked == coding != "br":
                assert (part.status_code, body) == (206, whole[100:])
            else:
                assert (part.status_code, body) == (200, whole)
    assert ask(stack, style, Range="bytes=0-3").headers["Content-Range"].startswith("bytes 0-3/")
    assert ask(stack, style, Range="bytes=9999999-").status_code == 416


def test_every_collected_file_that_gains_is_compressed(stack: Stack) -> None:
    script = """
        import gzip, pathlib
        for file in pathlib.Path("/collected").rglob("*"):
            if not file.is_file() or file.suffix in (".gz", ".br"):
                continue
            sizes = [file.stat().st_size]
            for suffix in (".gz", ".br"):
                variant = file.with_name(file.name + suffix)
                sizes.append(variant.stat().st_size if variant.exists() else 0)
                if variant.exists():
                    assert variant.stat().st_mtime == file.stat().st_mtime, variant
                    assert variant.stat().st_mode == file.stat().st_mode, variant
                if variant.exists() and suffix == ".gz":
                    assert gzip.decompress(variant.read_bytes()) == file.read_bytes(), file
            print(file.suffix, *sizes)
    """
    code = "\n".join(line[8:] for line in script.splitlines())
    found = [line.split(" ") for line in stack.run("app", "python3", "-c", code).splitlines()]
    assert len(found) > 250
    for suffix, *sizes in found:
        plain, gz, br = map(int, sizes)
        if suffix in (".css", ".js") and plain > 1000:
            assert 0 < br < gz < plain
        assert gz < plain or not plain
        assert br < plain or not plain
        if suffix == ".json":
            assert not gz + br  # the manifest is not served


@pytest.fixture
def strange_files(stack: Stack) -> Iterator[str]:
    """A directory with a compressible file for each type, put there as no release would: plain."""
    in_init = ("run", "--rm", "--no-deps", "init", "bash", "-c")
    write = "cd /srv/static; mkdir types; for name in {}; do printf %05000d 0 >types/a.$name; done"
    stack.compose(*in_init, write.format(" ".join(TYPES)))
    yield "/static/types"
    stack.compose(*in_init, "rm --recursive /srv/static/types")


def test_types_are_right_and_nothing_is_compressed_on_the_way(
    stack: Stack, strange_files: str
) -> None:
    for ending, kind in TYPES.items():
        answer = ask(stack, f"{strange_files}/a.{ending}", Accept_Encoding="gzip, br")
        assert answer.headers["Content-Type"] == kind, ending
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Encoding" not in answer.headers, ending
        assert answer.headers["Content-Length"] == "5000"


# -- what has an address of its own


def test_the_icon_is_one(stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/favicon.ico", timeout=5)
    assert answer.headers["Content-Type"] == "image/x-icon"
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    reserved, kind, pictures = struct.unpack("<HHH", answer.content[:6])
    assert (reserved, kind, pictures) == (0, 1, 2)
    assert answer.content.count(png()[:8]) == pictures
    assert len(answer.content) < 1000


def test_robots_are_told_where_not_to_go(stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/robots.txt", timeout=5)
    assert answer.headers["Content-Type"] == TYPES["txt"]
    assert "User-agent: *\nDisallow: /admin/\n" in answer.text
    assert stack.log_entry("nginx", answer.headers["X-Request-ID"])["upstream_status"] == ""


def test_a_site_without_them_is_asked_itself_for_robots(stack: Stack) -> None:
    in_init = ("run", "--rm", "--no-deps", "init")
    names = ("/srv/static/favicon.ico", "/srv/static/robots.txt")
    stack.compose(*in_init, "rm", *names)
    try:
        assert requests.get(f"{stack.url}/favicon.ico", timeout=5).status_code == 204
        robots = requests.get(f"{stack.url}/robots.txt", timeout=5)
        assert robots.status_code == 404
        entry = stack.log_entry("nginx", robots.headers["X-Request-ID"])
        assert entry["upstream_status"] == "404"
    finally:
        stack.compose(*in_init)
    assert requests.get(f"{stack.url}/robots.txt", timeout=5).status_code == 200


# -- what must not get out

# {secret} is a private file, which nginx may read, as seen from the directory above the static files.
WAYS_OUT = r"""
    /static/../{secret}                   /static/..%2f{secret}
    /static/%2e%2e/{secret}               /static/%2e%2e%2f{secret}
    /static/%252e%252e/{secret}           /static/..%252f{secret}
    /static/.%2e/{secret}                 /static/%2E%2E/{secret}
    /static/welcome/../../{secret}        /static/welcome/..%2f..%2f{secret}
    /static/./../{secret}                 /static//../{secret}
    /static../{secret}                    /static;/../{secret}
    /static/..;/{secret}                  /static/..%3b/{secret}
    /static/..\{secret}                  /static/..%5c{secret}
    /static/%c0%ae%c0%ae/{secret}         /static/..%c0%af{secret}
    /static/%u002e%u002e/{secret}         /static/....//{secret}
    /static/%00../{secret}                /static/welcome/landing.css/../../../{secret}
    /static/../../srv/{secret}            /static/../../../../../srv/{secret}
    /static//srv/{secret}                 /static/%2fsrv/{secret}
    /media/../{secret}                    /media/%2e%2e%2f{secret}
    /media../{secret}                     /media/..\{secret}
    /media/..%2f..%2fsrv%2f{secret}       /media/%252e%252e%252f{secret}
    /media/../../srv/{secret}             /media//srv/{secret}
    /media/../private/{name}              /media../private/{name}
    /private/{name}                       /%70rivate/{name}
    //private/{name}                      /./private/{name}
    /x/../private/{name}                  /files/..%2fprivate%2f{name}
    /{secret}                             http://localhost/static/../{secret}
    http://localhost/private/{name}       //localhost/static/../{secret}
    /static/..?/{secret}                  /static/..#/{secret}
"""


@pytest.fixture
def secret(stack: Stack) -> Iterator[str]:
    path = "/srv/media/private/canary.txt"
    stack.run("app", "bash", "-c", f"echo CANARY >{path}")
    yield path
    stack.run("app", "rm", path)


def test_no_spelling_of_a_path_leads_out(stack: Stack, secret: str) -> None:
    """As raw bytes: every HTTP library would tidy them up."""
    nginx_may = stack.run("nginx", "cat", secret)
    assert nginx_may == "CANARY\n"  # or else all of this would prove nothing
    for spelling in WAYS_OUT.split():
        path = spelling.format(secret="media/private/canary.txt", name="canary.txt")
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for answer, body in exchange(stack, request.encode()):
            assert "CANARY" not in body, path
            # 308: "//private" leads to "/private", which is one of them. "/static/..?" is the landing page, and may be.
            assert answer.status in (308, 400, 404) or "<h1>It works.</h1>" in body, path


def test_dotfiles_and_directories_stay_hidden(stack: Stack) -> None:
    in_init = ("run", "--rm", "--no-deps", "init", "bash", "-c")
    stack.compose(
        *in_init,
        "mkdir /srv/static/.git; cd /srv; tee static/{.env,.git/config,a.css.new} media/public/.env <<<KEY",
    )
    try:
        for path in (
            "/static/.env",
            "/static/%2eenv",
            "/static/.git/config",
            "/static/x/../.env",
            "/static//.env",
            "/media/.env",
            "/media/%2Eenv",
        ):
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            [(answer, body)] = exchange(stack, request.encode())
            assert answer.status == 404, path
            assert "KEY" not in body
        for path in ("/static/", "/static/welcome/", "/static/.", "/media/"):
            refused = requests.get(stack.url + path, timeout=5)
            assert refused.status_code == 403, path
            assert "You may not see this" in refused.text
    finally:
        stack.compose(*in_init, "cd /srv; rm -r static/{.env,.git,a.css.new} media/public/.env")


# -- from release to release


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
        f"echo old >{older}; cd /srv/static; echo bad >robots.txt.br"
        "; tee welcome/landing.css{,.gz,.br} <<<bad",
    )
    try:
        stack.compose("run", "--rm", "--no-deps", "init")
        assert (
            requests.get(f"{stack.url}/static/welcome/{older.rsplit('/')[-1]}", timeout=5).text
            == "old\n"
        )
        current = stack.run("app", "cat", "/collected/welcome/landing.css")
        for coding in ("identity", "gzip"):
            answer = ask(stack, "/static/welcome/landing.css", Accept_Encoding=coding)
            assert answer.text == current
        # A file that is no longer compressed leaves no older form of it behind.
        robots = ask(stack, "/static/robots.txt", Accept_Encoding="br")
        assert robots.text.endswith("Disallow: /admin/\n")
        assert "Content-Encoding" not in robots.headers
    finally:
        stack.compose("run", "--rm", "--no-deps", "init", "rm", older)


def test_a_deploy_brings_the_new_name_and_keeps_the_old_one(
    new_stack: Callable[..., Stack], project_copy: Path
) -> None:
    stack = new_stack()

    def style() -> tuple[str, dict[str, bytes]]:
        link = next(link for link in links(stack, "/") if link.endswith(".css"))
        return link, forms(link)

    def forms(link: str) -> dict[str, bytes]:
        answers = {
            coding: ask(stack, link, Accept_Encoding=coding) for coding in ("", "gzip", "br")
        }
        assert [a.headers.get("Content-Encoding", "") for a in answers.values()] == [*answers]
        assert {a.headers["Cache-Control"] for a in answers.values()} == {
            "public, max-age=31536000, immutable"
        }
        return {coding: a.raw.read(decode_content=False) for coding, a in answers.items()}

    old_link, old = style()
    source = project_copy / "mysite/welcome/static/welcome/landing.css"
    source.write_text(source.read_text() + "h2 { letter-spacing: 0.01em; }\n")
    release = Stack(project_copy, stack.project, stack.variables)
    release.compose("build", "app", timeout=280)
    release.up("--no-build")

    new_link, new = style()
    assert new_link != old_link
    assert gzip.decompress(new["gzip"]) == new[""] == source.read_bytes()
    assert new["br"] != old["br"]
    assert forms(old_link) == old
    # The name without a hash is the new release's, in all its forms.
    plain = {
        coding: ask(stack, "/static/welcome/landing.css", Accept_Encoding=coding).raw.read(
            decode_content=False
        )
        for coding in ("", "gzip", "br")
    }
    assert plain == new
