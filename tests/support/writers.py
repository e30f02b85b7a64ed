"""Twenty clients that write through the site and record what it acknowledged."""

import contextlib
import hashlib
import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import requests

from tests.support.people import png
from tests.support.stack import Stack

CLIENTS = 20

# Prints the names of all rows, the digests of each upload's files, and SQLite's integrity check.
_FOUND = """
import hashlib, json, sqlite3, pathlib
database = sqlite3.connect("/srv/data/db.sqlite3")
def digest(place, name):
    path = pathlib.Path("/srv/media", place, name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
print(json.dumps({
    "groups": [name for name, in database.execute("SELECT name FROM auth_group")],
    "uploads": {
        title: [digest("public", image), digest("private", attachment)]
        for title, image, attachment in database.execute(
            "SELECT title, image, attachment FROM welcome_upload"
        )
    },
    "integrity": database.execute("PRAGMA integrity_check").fetchone()[0],
}))
"""


@dataclass
class Tally:
    """What the site acknowledged, and what was found."""

    groups: set[str] = field(default_factory=set)
    uploads: dict[str, list[str]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # answered, but not acknowledged as saved
    # Set at the power cut: later answers do not count. (When only the disk has failed, a commit in progress may
    # still be reported as successful: one of 54 such answers was for data that was lost.)
    dark: threading.Event = field(default_factory=threading.Event)
    lost: set[str] = field(default_factory=set)  # acknowledged, but missing or different
    torn: set[str] = field(default_factory=set)  # rows without their file, acknowledged or not
    damaged: int = 0  # how often SQLite found its file corrupt


class Client(threading.Thread):
    """A client that adds rows without a pause, every fifth with two files, until told to stop."""

    def __init__(self, url: str, cookies: dict[str, str], name: str, tally: Tally) -> None:
        super().__init__(daemon=True)
        self.url, self.prefix, self.tally = url, name, tally
        self.stopped = threading.Event()
        self.person = requests.Session()
        self.person.cookies.update(cookies)
        self.number = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            self.number += 1
            name = f"{self.prefix}-{self.number}"
            with contextlib.suppress(requests.RequestException):
                if self.number % 5:
                    self.add_group(name)
                else:
                    self.add_upload(name)

    def send(self, path: str, fields: dict[str, str], files: dict[str, bytes]) -> bool:
        answer = self.person.post(
            self.url + path,
            data={**fields, "csrfmiddlewaretoken": self.person.cookies["csrftoken"]},
            files={name: (f"{name}.png", content) for name, content in files.items()} or None,
            headers={"Origin": self.url},
            allow_redirects=False,
            timeout=60,
        )
        # A redirect to the login page is a refusal, too.
        saved = answer.status_code == 302 and "/login/" not in answer.headers["Location"]
        if not saved:
            self.tally.refused.add(f"{answer.status_code} for {fields}")
        return saved and not self.tally.dark.is_set()

    def add_group(self, name: str) -> None:
        if self.send("/admin/auth/group/add/", {"name": name}, {}):
            self.tally.groups.add(name)

    def add_upload(self, name: str) -> None:
        files = {
            "image": png() + name.encode(),
            "attachment": name.encode() * random.choice([10, 1_000, 300_000]),  # noqa: S311
        }
        if self.send("/admin/welcome/upload/add/", {"title": name}, files):
            digests = [hashlib.sha256(content).hexdigest() for content in files.values()]
            self.tally.uploads[name] = digests


def check(stack: Stack, tally: Tally) -> None:
    """Compare what is there with everything acknowledged so far, and record the differences."""
    found = json.loads(stack.run("app", "python3", "-c", _FOUND))
    tally.lost |= tally.groups - {*found["groups"]}
    tally.lost |= {
        name for name, files in tally.uploads.items() if found["uploads"].get(name) != files
    }
    tally.torn |= {name for name, files in found["uploads"].items() if None in files}
    tally.damaged += found["integrity"] != "ok"


@contextlib.contextmanager
def writing(stack: Stack, name: str, cookies: dict[str, str], tally: Tally) -> Iterator[None]:
    """Let all clients write during the block; yield the tally. At the end they finish their current requests."""
    url = stack.url
    tally.dark.clear()
    clients = [Client(url, cookies, f"{name}-{each}", tally) for each in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join()
