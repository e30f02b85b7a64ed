"""
Find the lines of nginx's error log that can be trusted: those that no client can have written.

nginx writes the decoded path of a request as it is. A line feed in it (%0A) starts a new line, whose text
the client controls: a date, a level and any message. But nginx itself writes the beginning of each record, and
limits its length. So after a record with a client's text, no line is trusted until that record must have
ended.
"""

import re
from collections.abc import Iterable

LONGEST = 2048  # bytes of a record: NGX_MAX_ERROR_STR, core/ngx_log.h
SECONDS = 1  # nginx writes a record in one go: a line that comes later belongs to another record

HEAD = r"^\d{4}/\d\d/\d\d [\d:]{8} \[\w+\] \d+#\d+: "
OF_A_REQUEST = re.compile(HEAD + r"\*\d+ ")

# Records of requests in which a client's text cannot contain a line feed: those with a request line, a header or
# only nginx's own text. An upstream's address contains the decoded path if proxy_pass has $uri in it.
HARMLESS = re.compile(
    HEAD
    + r"\*\d+ (?:connect\(\)|recv\(\)|send\(\)|writev\(\)|sendfile\(\)|upstream |no live upstreams"
    r"|client intended to send|client sent too (?:long|large)|a client request body is buffered"
    r'|an upstream response is buffered|limiting |\S+ could not be resolved|no resolver defined)(?!.*upstream: "http)'
)


def believed(lines: Iterable[tuple[float, str]], cut: bool = False) -> list[str]:
    """
    Return those of the given lines, each with its time, that no client can have written.

    ``cut`` means that the first line may be the rest of a record. A time of 0 means "not known".
    """
    found = []
    doubt, since = (
        (LONGEST, 0.0) if cut else (0, 0.0)
    )  # bytes that a record with a client's text may still have
    for when, line in lines:
        size = len(line.encode()) + 1
        if when and since and when - since > SECONDS:
            doubt = 0
        if doubt <= 0:
            found.append(line)
        doubt -= size
        if OF_A_REQUEST.match(line) and not HARMLESS.match(line):
            doubt, since = max(doubt, LONGEST - size), when
    return found
