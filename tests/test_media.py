"""Hop `media`: what Django stored is what nginx serves; private files only when Django says so."""

import contextlib
import hashlib
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests

from tests.support.memory import memory
from tests.support.people import create_user, log_in, png, upload
from tests.support.stack import Stack

PDF = ("report.pdf", b"%PDF-1.4 private", "application/pdf")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("small.png", 0),
        ("café.png", 0),
        # Over 2.5 MB Django moves a temporary file instead of writing one; it would stay 0600.
        ("large.png", 3_000_000),
    ],
)
def test_a_public_image_comes_back_from_nginx(
    stack: Stack, admin: requests.Session, name: str, size: int
) -> None:
    picture = png(size)
    links = upload(stack, admin, name, (name, picture, "image/png"))
    answer = requests.get(f"{stack.url}{links['image']}?{name}", timeout=5)
    assert answer.content == picture
    assert answer.headers["Content-Type"] == "image/png"
    assert len(answer.headers["X-Request-ID"]) == 32
    assert "Content-Disposition" not in answer.headers
    assert stack.log_entry("nginx", f"?{quote(name)}")["upstream_status"] == "", "Python served it"


def test_the_name_of_an_upload_survives(stack: Stack, admin: requests.Session) -> None:
    links = upload(stack, admin, "déjà vu", ("déjà vu.png", png(), "image/png"))
    assert links["image"].startswith("/media/images/d%C3%A9j%C3%A0_vu")
    assert "déjà_vu.png" in stack.run("app", "ls", "/srv/media/public/images")


def test_a_private_file_is_for_its_owner_and_staff(stack: Stack, admin: requests.Session) -> None:
    link = upload(stack, admin, "private", ("p.png", png(), "image/png"), PDF)["attachment"]

    answer = admin.get(stack.url + link, timeout=5)
    assert answer.content == PDF[1]
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "X-Accel-Redirect" not in answer.headers

    part = admin.get(stack.url + link, headers={"Range": "bytes=9-"}, timeout=5)
    assert (part.status_code, part.content) == (206, b"private")

    stranger = requests.get(stack.url + link, allow_redirects=False, timeout=5)
    assert stranger.status_code == 302
    assert stranger.headers["Location"].startswith("/admin/login/")


def test_a_private_file_is_not_for_other_users(stack: Stack, admin: requests.Session) -> None:
    link = upload(stack, admin, "not yours", ("p.png", png(), "image/png"), PDF)["attachment"]
    create_user(stack, "reader")
    stack.manage(
        "shell",
        "--command",
        "from django.contrib.auth.models import User;"
        "User.objects.filter(username='reader').update(is_superuser=False)",
    )
    reader = log_in(stack, "reader")  # the admin lets staff in only
    stack.manage(
        "shell",
        "--command",
        "from django.contrib.auth.models import User;"
        "User.objects.filter(username='reader').update(is_staff=False)",
    )
    assert reader.get(stack.url + link, timeout=5).status_code == 403


def test_a_private_file_that_is_lost_is_not_a_download(
    stack: Stack, admin: requests.Session
) -> None:
    link = upload(stack, admin, "lost", ("p.png", png(), "image/png"), PDF)["attachment"]
    stack.run("app", "rm", f"/srv/media/private/{link.removeprefix('/files/')}")
    answer = admin.get(stack.url + link, timeout=5)
    assert answer.status_code == 404
    assert "Content-Disposition" not in answer.headers


def test_private_files_have_no_address_of_their_own(stack: Stack, admin: requests.Session) -> None:
    link = upload(stack, admin, "hidden", ("p.png", png(), "image/png"), PDF)["attachment"]
    name = link.removeprefix("/files/")
    for path in (f"/private/{name}", f"/media/{name}", f"/media/../private/{name}"):
        assert requests.get(stack.url + path, timeout=5).status_code == 404, path


# -- a private file of a gigabyte

GIGABYTE = 2**30


@pytest.fixture
def large(stack: Stack, admin: requests.Session) -> Iterator[str]:
    """The address of a private file with marks in it, and holes between them: it takes no space."""
    link = upload(stack, admin, "large", ("p.png", png(), "image/png"), PDF)["attachment"]
    path = f"/srv/media/private/{link.removeprefix('/files/')}"
    script = """
        import sys
        with open(sys.argv[1], "r+b") as file:
            for offset in range(0, 2**30, 2**26):
                file.seek(offset)
                file.write(b"%016d" % offset)
            file.truncate(2**30)
    """
    code = "\n".join(line[8:] for line in script.splitlines())
    stack.run("app", "python3", "-c", code, path)
    yield link
    stack.run("app", "rm", path)


def test_any_part_of_a_large_private_file(
    stack: Stack, admin: requests.Session, large: str
) -> None:
    address = stack.url + large
    head = admin.head(address, timeout=5)
    assert head.headers["Content-Length"] == str(GIGABYTE)
    assert head.headers["Accept-Ranges"] == "bytes"
    tag = head.headers["ETag"]

    def part(ranges: str, condition: str = tag) -> requests.Response:
        headers = {"Range": f"bytes={ranges}", "If-Range": condition}
        return admin.get(address, headers=headers, timeout=5, stream=True)

    middle = 2**29
    for ranges, expected, place in (
        ("0-15", b"%016d" % 0, "0-15"),
        (f"{middle}-{middle + 15}", b"%016d" % middle, f"{middle}-{middle + 15}"),
        ("-4", bytes(4), f"{GIGABYTE - 4}-{GIGABYTE - 1}"),
        (f"{GIGABYTE - 2}-", bytes(2), f"{GIGABYTE - 2}-{GIGABYTE - 1}"),
        (f"{GIGABYTE - 2}-{GIGABYTE + 9}", bytes(2), f"{GIGABYTE - 2}-{GIGABYTE - 1}"),
    ):
        answer = part(ranges)
        assert (answer.status_code, answer.content) == (206, expected), ranges
        assert answer.headers["Content-Range"] == f"bytes {place}/{GIGABYTE}"
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["Content-Disposition"].startswith("attachment; ")

    several = part(f"0-15,{middle}-{middle + 15}")
    assert several.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert several.content.count(b"Content-Range: bytes ") == 2

    # The file is another one by now: all of it, or else two would be patched together.
    with part(f"{middle}-", condition='"another"') as whole:
        assert whole.status_code == 200
        assert whole.headers["Content-Length"] == str(GIGABYTE)

    beyond = admin.get(address, headers={"Range": f"bytes={GIGABYTE}-"}, timeout=5)
    assert beyond.status_code == 416

    stranger = requests.get(
        address, headers={"Range": "bytes=0-15"}, allow_redirects=False, timeout=5
    )
    assert stranger.status_code == 302


def test_a_gigabyte_is_sent_resumed_and_never_in_memory(
    stack: Stack, admin: requests.Session, large: str
) -> None:
    address = stack.url + large
    before = {service: memory(stack, service) for service in ("app", "nginx")}

    with contextlib.ExitStack() as clients:
        # More clients that read slowly than there are workers: none of them holds a worker.
        for _ in range(8):
            slow = clients.enter_context(admin.get(address, stream=True, timeout=5))
            assert slow.raw.read(16) == b"%016d" % 0
        assert requests.get(stack.url, timeout=2).ok

        received = hashlib.sha256()
        done = 0
        with admin.get(address, stream=True, timeout=5) as answer:
            tag = answer.headers["ETag"]
            for data in answer.iter_content(2**20):
                received.update(data)
                done += len(data)
                if done > GIGABYTE // 3:
                    break  # the connection is lost
        headers = {"Range": f"bytes={done}-", "If-Range": tag}
        with admin.get(address, headers=headers, stream=True, timeout=5) as answer:
            assert answer.status_code == 206
            for data in answer.iter_content(2**20):
                received.update(data)

    path = f"/srv/media/private/{large.removeprefix('/files/')}"
    assert received.hexdigest() == stack.run("app", "sha256sum", path).split()[0]
    for service, most in before.items():
        assert memory(stack, service) - most < 25 * 2**20, service
    assert stack.run("nginx", "find", "/var/cache/nginx", "-type", "f") == ""


@pytest.mark.parametrize("name", ["page.html", "picture.svg", "script.js", "shell.php"])
def test_a_browser_never_runs_an_upload(stack: Stack, name: str) -> None:
    """However a file got there, its address gives a download, or a page that may do nothing."""
    path = f"/srv/media/public/{name}"
    stack.run("app", "bash", "-c", f"echo '<script>alert(1)</script>' >{path}")
    try:
        answer = requests.get(f"{stack.url}/media/{name}", timeout=5)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    finally:
        stack.run("app", "rm", path)


def test_a_link_out_of_the_media_directory_is_not_followed(stack: Stack) -> None:
    stack.run("app", "ln", "--symbolic", "/etc/passwd", "/srv/media/public/passwd.txt")
    try:
        assert requests.get(f"{stack.url}/media/passwd.txt", timeout=5).status_code == 403
    finally:
        stack.run("app", "rm", "/srv/media/public/passwd.txt")
