"""Hop `media`: what Django stored is what nginx serves; private files only when Django says so."""

from urllib.parse import quote

import pytest
import requests

from hops.stack import Stack
from tests.people import create_user, log_in, png, upload

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
