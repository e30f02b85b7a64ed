"""What a user does in a browser (read a page, log in, send a form, upload a file) and in a shell."""

import os
import re
import struct
import subprocess
import zlib
from typing import IO

import requests

from tests.support.stack import Stack

PASSWORD = "correct horse battery staple"

# A file as requests expects it: name, content, type.
File = tuple[str, bytes, str]


def create_user(stack: Stack, name: str, *, superuser: bool = True, as_user: str = "") -> None:
    """Create a Django user with the password ``PASSWORD``; ``as_user`` is the system user that runs the command."""
    function = "create_superuser" if superuser else "create_user"
    stack.manage(
        "shell",
        "--command",
        "from django.contrib.auth.models import User;"
        f"User.objects.{function}({name!r}, password={PASSWORD!r})",
        user=as_user,
    )


def log_in(stack: Stack, name: str) -> requests.Session:
    """Log in through the admin and return the session; raise ``AssertionError`` if that fails."""
    person = requests.Session()
    answer = submit(stack, person, "/admin/login/", {"username": name, "password": PASSWORD})
    assert answer.status_code == 302, answer.text
    return person


def is_logged_in(stack: Stack, person: requests.Session) -> bool:
    """Return whether a session is logged in to the admin."""
    answer = person.get(f"{stack.url}/admin/", allow_redirects=False, timeout=10)
    return answer.status_code == 200


def command(
    stack: Stack, *words: str, stdin: int | IO[bytes] = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder of a stack, and return the completed process."""
    return subprocess.run(
        words,
        cwd=stack.directory,
        env={**os.environ, **stack.variables, "COMPOSE_PROJECT_NAME": stack.project},
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=200,
    )


def submit(
    stack: Stack,
    person: requests.Session,
    path: str,
    fields: dict[str, str],
    files: dict[str, File] | None = None,
) -> requests.Response:
    """Fetch a form, fill it in and send it, with ``Origin`` as browsers do; do not follow redirects."""
    page = person.get(stack.url + path, timeout=5).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, f"no form at {path}: {page[:500]}"
    return person.post(
        stack.url + path,
        data={**fields, "csrfmiddlewaretoken": token[1]},
        files=files,
        headers={"Origin": stack.url, "Referer": stack.url + path},
        allow_redirects=False,
        timeout=60,
    )


def upload(
    stack: Stack, person: requests.Session, title: str, image: File, attachment: File | None = None
) -> dict[str, str]:
    """Add an upload through the admin; return the URLs of its ``image`` and ``attachment``."""
    files = {"image": image} | ({"attachment": attachment} if attachment else {})
    answer = submit(stack, person, "/admin/welcome/upload/add/", {"title": title}, files)
    assert answer.status_code == 302, answer.text
    listing = person.get(f"{stack.url}/admin/welcome/upload/?title={title}", timeout=5).text
    edit = re.search(rf'href="([^"?]+/change/)[^"]*">{re.escape(title)}<', listing)
    assert edit, listing
    page = person.get(stack.url + edit[1], timeout=5).text
    links = re.findall(r'href="(/(?:media|files)/[^"]+)"', page)
    return dict(zip(files, links, strict=True))


def arrived(page: str) -> dict[str, str]:
    """Return what the landing page shows about its own request."""
    return dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]*)</dd>", page))


def png(size: int = 0) -> bytes:
    """Return a PNG of one pixel, padded to exactly ``size`` bytes if that is more than it needs."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(b"\0\xff\x00\x00")) + chunk(b"IEND", b"")
    comment = b"Comment\0"
    padding = size - len(head) - len(tail) - 12 - len(comment)
    return head + (chunk(b"tEXt", comment + b"x" * padding) if padding > 0 else b"") + tail
