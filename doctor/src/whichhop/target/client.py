"""
An HTTP client for checks from outside: connect, do a TLS handshake, send requests and forms as browsers do.

Nothing here draws conclusions. It implements HTTP itself, with the standard library's parser, because HTTP
libraries hide what the checks need: which address answered, the certificate, cookies that a browser would drop,
and where an endless answer was cut off. It sends one request at a time. However slow, endless or odd a server
is, each answer, and all answers together, take limited time and memory.
"""

import contextlib
import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import Any, NamedTuple, cast
from urllib.parse import quote, urldefrag, urlencode, urljoin, urlsplit

import certifi

from whichhop.target.page import Form

TIMEOUT = 5  # seconds for an answer, from the connection to its last byte
BUDGET = 18  # seconds for all requests of one client
LIMIT = 512 * 1024  # bytes of a body; the rest is not read
PORTS = {"http": 80, "https": 443}

Address = tuple[str, int]


class NotHTTP(OSError):
    """The answer is not HTTP."""


class Origin(NamedTuple):
    """Scheme, host and port, which define an origin for browsers."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Return the origin of a URL; raise ``ValueError`` if it has none."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.username:
            raise ValueError(f"{url!r} is not an address such as https://staging.example.com")
        host = parts.hostname.rstrip(".")
        host = host if host.isascii() else host.encode("idna").decode()
        return cls(parts.scheme, host, parts.port or PORTS[parts.scheme])

    @property
    def netloc(self) -> str:
        """The host as browsers send it: with its port, unless that is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True)
class Cookie:
    """A cookie as the server set it; attribute names are in lower case."""

    name: str
    value: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, header: str) -> "Cookie":
        """Return the cookie of a ``Set-Cookie`` header. RFC 6265 section 5.2."""
        pair, *rest = header.split(";")
        name, _, value = pair.partition("=")
        split = (item.partition("=") for item in rest)
        attributes = {name.strip().lower(): value.strip() for name, _, value in split}
        return cls(name.strip(), value.strip(), attributes)

    def dropped(self, origin: Origin) -> str:
        """Return why a browser does not send it back to the origin that set it; "" if it does."""
        domain = self.attributes.get("domain", "").lstrip(".").lower()
        if domain and not f".{origin.host}".endswith(f".{domain}"):
            return f"Domain={domain}"
        if "secure" in self.attributes and origin.scheme == "http":
            return "Secure"
        return ""


@dataclass(frozen=True)
class Answer:
    """The answer for a URL."""

    url: str
    status: int
    headers: HTTPMessage  # case-insensitive; for repeated ones, get() returns the first
    cookies: tuple[Cookie, ...]
    body: bytes

    @property
    def origin(self) -> Origin:
        return Origin.of(self.url)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def location(self) -> str:
        """The absolute URL to which it redirects; "" if it does not."""
        location = self.headers.get("Location", "")
        if self.status not in (301, 302, 303, 307, 308) or not location:
            return ""
        try:
            target = urldefrag(urljoin(self.url, location)).url
            Origin.of(target)
        except ValueError:
            return ""
        return target

    @property
    def words(self) -> str:
        """The beginning of the page's text, without tags."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.text[:4000]).split())[:80]

    def __str__(self) -> str:
        """The answer as one line of evidence."""
        detail = self.headers.get("Location") or (self.words if self.status >= 400 else "")
        return f"{self.url}: {self.status}" + (f" ({detail})" if detail else "")


class Attempt(NamedTuple):
    """An address to which a name resolves, and why it accepts no connection."""

    address: Address
    error: OSError | None


class Handshake(NamedTuple):
    """What a TLS server shows: the protocol and its certificates, its own first, in the form of ``getpeercert``."""

    version: str
    chain: list[dict[str, Any]]


class _Timed(io.RawIOBase):
    """A socket as a file with one deadline for all reads, which a server cannot evade by sending slowly."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self.connection, self.until = connection, until

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.connection.settimeout(left(self.until))
        return self.connection.recv_into(buffer)


def left(until: float) -> float:
    """Return the seconds until a deadline; raise ``TimeoutError`` if it has passed."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time is over")
    return seconds


def unverified() -> ssl.SSLContext:
    """
    Return a context that accepts any certificate.

    A faulty certificate is reported once and must not keep the rest from being checked. Nothing secret is sent.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def verifying() -> ssl.SSLContext:
    """Return a context that trusts this machine's certificate authorities, or Mozilla's list if it has none."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # stricter than any browser
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath):
        context.load_verify_locations(certifi.where())
    return context


class Client:
    """
    A client of one host, which keeps no cookies.

    ``routes`` gives, by port, the addresses to connect to instead of those to which the name resolves, like
    curl's ``--connect-to``; requests still carry the name.
    """

    def __init__(self, url: str, routes: Mapping[int, Sequence[Address]] | None = None) -> None:
        self.origin = Origin.of(url)
        self.url = urljoin(str(self.origin), urlsplit(url).path or "/")
        self.until = time.monotonic() + BUDGET
        self.requests = 0
        self._routes = dict(routes or {})
        self._reached: dict[int, Address] = {}
        self._unverified = unverified()

    # -- connections

    def resolve(self, port: int) -> list[Address]:
        """Return at most one address of each family to which the name resolves. Raise ``OSError`` if there is none."""
        if port in self._routes:
            return list(self._routes[port])
        found: list[Any] = []

        def look_up() -> None:
            try:
                found.extend(socket.getaddrinfo(self.origin.host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                found.append(error)

        thread = threading.Thread(target=look_up, daemon=True)  # a lookup cannot be interrupted
        thread.start()
        thread.join(min(TIMEOUT, left(self.until)))
        if not found:
            raise TimeoutError(f"no answer for the name within {TIMEOUT} s")
        if isinstance(found[0], UnicodeError):
            raise socket.gaierror(socket.EAI_NONAME, "not a name")
        if isinstance(found[0], OSError):
            raise found[0]
        first = {family: address[:2] for family, _, _, _, address in reversed(found)}
        return list(reversed(first.values()))

    def attempts(self, port: int) -> list[Attempt]:
        """Try each address of the name; return the results, and use one that works for later connections."""
        attempts = []
        for address in self.resolve(port):
            try:
                socket.create_connection(address, min(3, left(self.until))).close()
                attempts.append(Attempt(address, None))
                self._reached.setdefault(port, address)
            except OSError as error:
                attempts.append(Attempt(address, error))
        return attempts

    @contextlib.contextmanager
    def _connected(self, port: int, until: float) -> Iterator[socket.socket]:
        """Connect to the address used before, or to the first that accepts the connection."""
        if port not in self._reached:
            attempts = self.attempts(port)
            if attempts[-1].error and port not in self._reached:
                raise attempts[-1].error
        with socket.create_connection(self._reached[port], left(until)) as connection:
            yield connection

    def handshake(self, origin: Origin, *, verify: bool) -> Handshake:
        """
        Do a TLS handshake and return what the server shows.

        Raise ``ssl.SSLCertVerificationError`` if told to verify and this machine does not trust the
        certificate, and another ``OSError`` if the handshake fails.
        """
        until = min(time.monotonic() + TIMEOUT, self.until)
        context = verifying() if verify else self._unverified
        with self._connected(origin.port, until) as plain:
            plain.settimeout(left(until))
            with context.wrap_socket(plain, server_hostname=origin.host) as tls:
                # Public since Python 3.13, private since 3.10. getpeercert() is empty without verification.
                chain = cast(Any, tls)._sslobj.get_unverified_chain() or []
                return Handshake(tls.version() or "", [item.get_info() for item in chain])

    # -- requests

    def ask(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """
        Return the answer to a GET, or to a POST if there is a body; do not follow redirects.

        Certificates are not verified. Raise ``TimeoutError``, ``NotHTTP`` or another ``OSError``.
        """
        origin, parts = Origin.of(url), urlsplit(url)
        if origin.host != self.origin.host:
            raise ValueError(f"{url} is another host's")
        until = min(time.monotonic() + (timeout or TIMEOUT), self.until)
        lines = {
            "Host": origin.netloc,
            "User-Agent": "Mozilla/5.0 (compatible; doctor)",
            "Accept": "text/html,*/*;q=0.8",
            "Connection": "close",
            **({} if body is None else {"Content-Length": str(len(body))}),
            **(headers or {}),
        }
        # A URL from a page may contain anything: never send a space or a line end.
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?") if parts.query else ""
        head = f"{'GET' if body is None else 'POST'} {target} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        self.requests += 1
        with self._connected(origin.port, until) as plain, contextlib.ExitStack() as stack:
            plain.settimeout(left(until))
            connection = plain
            if origin.scheme == "https":
                tls = self._unverified.wrap_socket(plain, server_hostname=origin.host)
                connection = stack.enter_context(tls)
            connection.sendall(head.encode("latin-1", "replace") + (body or b""))
            response = HTTPResponse(cast(socket.socket, _Timed(connection, until)))
            try:
                response.begin()
            except HTTPException as error:
                if isinstance(error, OSError):  # closed without an answer
                    raise
                raise NotHTTP(str(error).strip() or type(error).__name__) from None
            cookies = tuple(map(Cookie.parse, response.headers.get_all("Set-Cookie", [])))
            return Answer(url, response.status, response.headers, cookies, _read(response))

    def as_browser(self, page: Answer, *, every_cookie: bool = False) -> dict[str, str]:
        """Return the headers with which a browser submits a form of a page."""
        origin = page.origin
        kept = [item for item in page.cookies if every_cookie or not item.dropped(origin)]
        headers = {"Origin": str(origin), "Referer": page.url}
        if page.headers.get("Referrer-Policy", "").split(",")[-1].strip() == "no-referrer":
            headers = {"Origin": "null"}  # https://fetch.spec.whatwg.org/#origin-header
        if kept:
            headers["Cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in kept)
        return headers

    def submit(self, form: Form, headers: Mapping[str, str]) -> Answer:
        """Submit a form: hidden fields as they are, all others empty."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(form.action, {**kind, **headers}, urlencode(form.fields).encode())


def _read(response: HTTPResponse) -> bytes:
    """Return as much of the body as arrives within the limits."""
    body = b""
    with contextlib.suppress(OSError, HTTPException):
        while len(body) < LIMIT and (part := response.read1(LIMIT - len(body))):
            body += part
    return body
