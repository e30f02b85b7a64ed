"""
Which lines of nginx's error log can be believed: those that no client can have written.

nginx writes the decoded path of a request as it is. A line feed in it (%0A) begins a new line, whose text
is the client's: a date, a level and any message. What gives such a record away is its beginning, which
nginx writes itself, and its length, which nginx limits. So what follows a record that holds a client's
text is not believed until that record must have ended.
"""

import re
from collections.abc import Iterable

LONGEST = 2048  # bytes of a record: NGX_MAX_ERROR_STR, core/ngx_log.h
SECONDS = 1  # after which a line has come with another write: nginx writes a record at once

HEAD = r"^\d{4}/\d\d/\d\d [\d:]{8} \[\w+\] \d+#\d+: "
OF_A_REQUEST = re.compile(HEAD + r"\*\d+ ")

# Records of requests in which no client's text can have a line feed: of a request line, a header and
# nginx's own words. An upstream's address holds the decoded path where proxy_pass has $uri in it.
HARMLESS = re.compile(
    HEAD
    + r"\*\d+ (?:connect\(\)|recv\(\)|send\(\)|writev\(\)|sendfile\(\)|upstream |no live upstreams"
    r"|client intended to send|client sent too (?:long|large)|a client request body is buffered"
    r'|an upstream response is buffered|limiting |\S+ could not be resolved|no resolver defined)(?!.*upstream: "http)'
)


def believed(lines: Iterable[tuple[float, str]], cut: bool = False) -> list[str]:
    """
    Return the lines that no client can have written, of lines with the time at which each came.

    ``cut`` says that the first of them may be the rest of a record. A time of 0 is none.
    """
    found = []
    doubt, since = (
        (LONGEST, 0.0) if cut else (0, 0.0)
    )  # bytes that a client's record may still have
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
