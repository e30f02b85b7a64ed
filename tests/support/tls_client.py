"""A TLS client that hides nothing from the test, and continuous load over TLS."""

import http.client
import socket
import ssl
import threading
import time
from typing import Any, NamedTuple

import trustme
from cryptography import x509

from tests.support.crowd import Crowd
from tests.support.stack import Stack

# The second name is longer than nginx's hash tables allow by default.
HOSTS = ("site.example", "www.department-with-quite-a-long-name.site.example")


def trusting(*authorities: trustme.CA) -> ssl.SSLContext:
    """Return a context that trusts only these authorities; without any, it does not verify."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not authorities:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for authority in authorities:
        authority.configure_trust(context)
    return context


def connect(
    stack: Stack, context: ssl.SSLContext, name: str | None = HOSTS[0], **options: Any
) -> ssl.SSLSocket:
    """Open a TLS connection to the published port for a host name; raise ``ssl.SSLError`` if refused."""
    plain = socket.create_connection(("127.0.0.1", int(stack.variables["SITE_PORT"])), timeout=30)
    try:
        return context.wrap_socket(plain, server_hostname=name, **options)
    except BaseException:
        plain.close()
        raise


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: str


def ask(
    stack: Stack,
    path: str = "/",
    host: str = HOSTS[0],
    *,
    context: ssl.SSLContext | None = None,
    port: str = "SITE_PORT",
    method: str = "GET",
    body: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request exactly as given, over TLS if there is a ``context``; do not follow redirects."""
    if context:
        connection: socket.socket = connect(stack, context, host.partition(":")[0])
    else:
        connection = socket.create_connection(("127.0.0.1", int(stack.variables[port])), timeout=30)
    given = {
        "Host": host,
        "Connection": "close",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    with connection:
        connection.sendall(("\r\n".join([*lines, "", ""]) + body).encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return Answer(answer.status, answer.msg, answer.read().decode())


def shown(stack: Stack, name: str | None) -> x509.Certificate:
    """Return the certificate that nginx shows, whoever issued it."""
    with connect(stack, trusting(), name) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


def names(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in extension.value]


def wait_for_another(
    stack: Stack, before: x509.Certificate, name: str = "localhost", seconds: float = 60
) -> None:
    """Wait until nginx shows a certificate other than ``before``."""

    def another() -> bool:
        return shown(stack, name) != before

    stack.wait("another certificate is shown", another, seconds)


class Visitors(Crowd):
    """
    Visitors who send requests for as long as the ``with`` block runs: six with a new connection each time, two
    that keep theirs, and two whose request takes three seconds to arrive. ``failures`` has what failed.
    """

    def __init__(self, stack: Stack, host: str) -> None:
        super().__init__()
        self.stack = stack
        self.host = host
        self.failures: list[str] = []
        self.answers = 0
        kinds = [self.come_anew] * 6 + [self.stay] * 2 + [self.hesitate] * 2
        self.threads = [threading.Thread(target=self.visit, args=(kind,)) for kind in kinds]

    def visit(self, kind: Any) -> None:
        while not self.stop.is_set():
            try:
                for status in kind():
                    self.answers += 1
                    if status != 200:
                        self.failures.append(f"{kind.__name__}: {status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{kind.__name__}: {error!r}")

    def come_anew(self) -> list[int]:
        return [ask(self.stack, host=self.host, context=trusting()).status]

    def stay(self) -> list[int]:
        """Send requests on one connection until nginx closes it, which it may do between two answers."""
        statuses: list[int] = []
        with connect(self.stack, trusting(), self.host) as connection:
            while not self.stop.is_set():
                try:
                    connection.sendall(
                        f"GET /favicon.ico HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()
                    )
                    answer = http.client.HTTPResponse(connection)
                    answer.begin()
                except (ConnectionError, ssl.SSLError):
                    if not statuses:
                        raise
                    break  # not one byte of an answer: a browser retries on a new connection
                answer.read()
                statuses.append(200 if answer.status == 204 else answer.status)
                if answer.will_close:
                    break
        return statuses

    def hesitate(self) -> list[int]:
        with connect(self.stack, trusting(), self.host) as connection:
            connection.sendall(
                f"GET / HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: 3\r\n\r\n".encode()
            )
            for _ in range(3):
                time.sleep(1)
                connection.sendall(b"x")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return [answer.status]
