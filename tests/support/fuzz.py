"""
Send requests of all kinds to a site whose views misbehave (tests/answers), and check each answer.

Each request must get an answer that is complete or visibly broken, and appear once in nginx's log. The app must
log each failure once, and nothing else. All log lines must be JSON, except those of uWSGI and nginx themselves.
"""

import json
import random
import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

from tests.support.stack import Stack

# Each with the expected result: the status; "broken" in the middle; "whole".
PAGES = {
    "answers/raises?error-view": "500",
    "answers/exits": "500",
    "livez?signal": "500",
    "answers/header": "500",
    "answers/two_lines": "500",
    "answers/huge_header": "500",
    "answers/reason": "500",
    "answers/short": "500",
    "answers/long": "500",
    "answers/no_number": "500",
    "answers/parts?raise=0": "500",
    "answers/raises": "500",
    "wsgi/none": "500",
    "wsgi/no_head": "500",
    "wsgi/words": "500",
    "wsgi/no_status": "500",
    "answers/parts?raise=2": "broken",
    "answers/parts?raise=3&length=20000": "broken",
    "answers/parts?length=20001": "broken",
    "answers/parts?length=12000": "broken",
    "wsgi/words_later": "broken",
    "answers/parts": "whole",
    "answers/parts?length=20000": "whole",
    "answers/hop_by_hop": "whole",
    "answers/file": "whole",
    "answers/buffer": "whole",
    "wsgi/written": "whole",
    "answers/nothing_to_say": "204",
    "": "whole",
    "static/welcome/landing.css": "whole",
    "static/nope": "404",
    "nope": "404",
}
# An answer without a length is broken off only after the time limit, so use fewer of those.
SLOW = {"answers/parts?raise=2", "wsgi/words_later"}

# Lines that uWSGI and nginx themselves write, not as JSON.
OWN_WORDS = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+\+0000 - |\d{4}/\d\d/\d\d [\d:]+ \[\w+\] ")


class Result(NamedTuple):
    """The result of one request."""

    request: bytes
    wanted: str  # empty: any answer
    status: str
    request_id: str
    looks_whole: bool


def make(random: random.Random) -> tuple[bytes, str]:
    """Return a request and its expected result."""
    path = random.choice(list(PAGES))
    if path in SLOW and random.random() < 0.9:
        path = "answers/raises"
    wanted = PAGES[path]
    target, headers, body = f"/{path}".encode(), [b"Host: localhost"], b""
    method = random.choice([b"GET"] * 8 + [b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"X-Y"])
    if method != b"GET" or random.random() < 0.3:
        wanted = ""  # depends on the view: any answer, and one log line
        if random.random() < 0.5:
            letters = [
                b"%%%02X" % random.randrange(256),
                b"a",
                b"/",
                b"..",
                b"%",
                b"?",
                b"&",
                b"\xe9",
            ]
            target += b"".join(random.choices(letters, k=random.randrange(8)))
        if random.random() < 0.5:
            value = bytes(
                random.choices([9, 27, 34, 92, 127, *range(32, 256)], k=random.randrange(40))
            )
            name = random.choice(
                [b"Referer", b"Cookie", b"Content-Type", b"X-Any", b"Accept", b"Range", b"If-Match"]
            )
            headers.append(name + b": " + value)
        if random.random() < 0.3:
            kind = random.choice(
                [
                    b"a/b; x*=foo''y",
                    b"application/x-www-form-urlencoded; charset=latin-1",
                    b"multipart/form-data; boundary=x",
                ]
            )
            headers += [b"Content-Type: " + kind, b"Cookie: csrftoken=" + b"t" * 32]
        if random.random() < 0.5:
            body = random.randbytes(random.choice([0, 1, 100, 70_000]))
            headers.append(b"Content-Length: %d" % len(body))
        if random.random() < 0.05:
            headers.append(
                random.choice(
                    [b"Transfer-Encoding: chunked", b"Host: x", b"no colon", b" folded", b"X: a\0b"]
                )
            )
    lines = [b" ".join([method, target, b"HTTP/1.1"]), *headers, b"Connection: close", b"", b""]
    return b"\r\n".join(lines) + body, wanted


def ask(port: int, request: bytes, wanted: str) -> Result:
    """Send a request and return its result."""
    received = b""
    try:
        with socket.create_connection(("localhost", port), timeout=30) as client:
            client.sendall(request)
            while data := client.recv(65536):
                received += data
    except (ConnectionResetError, BrokenPipeError):
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
    fields = dict(re.findall(rb"(?m)^([\w-]+): ([^\r]*)", head.lower()))
    if status and (status[1] in (b"204", b"304") or request.startswith(b"HEAD ")):
        whole = not body
    elif b"content-length" in fields:
        whole = len(body) == int(fields[b"content-length"])
    else:
        whole = body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"
    found = fields.get(b"x-request-id", b"").decode()
    return Result(request, wanted, status[1].decode() if status else "", found, whole)


def log(stack: Stack, service: str, since: datetime) -> list[str]:
    """Return the log lines of a service."""
    container = stack.container(service)
    return container.logs(since=since.timestamp()).decode().splitlines()


def entry(line: str) -> dict[str, object] | None:
    """Return a line parsed as JSON; ``None`` if it is not JSON."""
    try:
        found: object = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def run(stack: Stack, number: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Send ``number`` requests; return the count of each status, and one sentence for each wrong result."""
    chance = random.Random(seed)  # noqa: S311 (repeatable with the same seed)
    port = int(stack.variables["SITE_PORT"])
    began = datetime.now(UTC)
    requests = [make(chance) for _ in range(number)]
    with ThreadPoolExecutor(24) as threads:
        results = list(threads.map(lambda each: ask(port, *each), requests))

    def complete() -> list[str] | None:
        lines = log(stack, "nginx", began)
        text = "\n".join(lines)
        return lines if all(result.request_id in text for result in results) else None

    nginx = stack.wait("each answer is in nginx's log", complete, 20)
    app = log(stack, "app", began)
    wrong = [f"no JSON: {x}" for x in [*app, *nginx] if entry(x) is None and not OWN_WORDS.match(x)]
    wrong += [f"control characters: {x!r}" for x in [*app, *nginx] if re.search(r"[\0-\x1f]", x)]
    answers = Counter(str(found["request_id"]) for found in filter(None, map(entry, nginx)))
    said_by_app = [found for found in filter(None, map(entry, app)) if "level" in found]
    events = Counter(str(found["request_id"]) for found in said_by_app)
    for result in results:
        asked = f"{result.request[:200]!r}: {result.status}, {result.request_id}"
        said = events.pop(result.request_id, 0)
        failed = result.status >= "500" or not result.looks_whole
        if not result.status or answers[result.request_id] != 1:
            wrong.append(f"an answer without a line, or a line without an answer: {asked}")
        if failed and said != 1 and not (result.status in ("501", "505") and not said):
            wrong.append(f"{said} events for a failure: {asked}")
        if said > 1:
            wrong.append(f"{said} events: {asked}")
        if result.wanted == "broken" and (result.status != "200" or result.looks_whole):
            wrong.append(f"looks whole, and is not: {asked}")
        if result.wanted == "whole" and (result.status != "200" or not result.looks_whole or said):
            wrong.append(f"is not whole: {asked}")
        if result.wanted.isdigit() and (result.status != result.wanted or not result.looks_whole):
            wrong.append(f"should be {result.wanted}: {asked}")
    wrong += [f"an event without an answer: {request_id}" for request_id in events]
    return Counter(
        "broken off" if not result.looks_whole else result.status for result in results
    ), wrong
