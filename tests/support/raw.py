"""Send requests byte for byte, including those that no library would send."""

import contextlib
import io
import socket
import struct
from http.client import HTTPResponse
from typing import cast

from tests.support.stack import Stack


class Received(io.BytesIO):
    """Received bytes, in the form that ``HTTPResponse`` expects: a socket that one answer does not close."""

    def makefile(self, mode: str) -> "Received":
        return self

    def close(self) -> None:
        pass


def connect(stack: Stack) -> socket.socket:
    """Connect to nginx at the published port, and return the connection."""
    return socket.create_connection(("localhost", int(stack.variables["SITE_PORT"])), timeout=15)


def exchange(stack: Stack, request: bytes, quiet: float = 1) -> list[tuple[HTTPResponse, str]]:
    """
    Send ``request`` and return all answers to it, each with its body.

    Stop reading when nginx closes the connection or sends nothing for ``quiet`` seconds.
    """
    received = b""
    with connect(stack) as client, contextlib.suppress(TimeoutError, ConnectionResetError):
        client.sendall(request)
        while data := client.recv(65536):
            received += data
            client.settimeout(quiet)
    stream = Received(received)
    answers = []
    while stream.tell() < len(received):
        answer = HTTPResponse(cast(socket.socket, stream))
        answer.begin()
        answers.append((answer, answer.read().decode()))
    return answers


def http2(connection: socket.socket, fields: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    """
    Send one request over HTTP/2 and return the first byte of the answer's headers, and the body.

    That byte is 0x80 plus a number in HPACK's static table: 8 is the status 200, 12 400, 13 404. A request that
    nginx refuses without an answer gives 0. RFC 9113, RFC 7541 (appendix A)
    """

    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return (
            struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
        )

    # Literal fields, without the table and without Huffman coding: exactly these bytes.
    block = b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields
    )
    headers = frame(1, 0x5, 1, block)  # END_STREAM, END_HEADERS
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + headers)
    status, body = 0, b""
    with connection.makefile("rb") as stream:
        while len(head := stream.read(9)) == 9:
            payload = stream.read(int.from_bytes(head[:3], "big"))
            kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big")
            if number == 1:
                status = payload[0] if kind == 1 else status
                body += payload if kind == 0 else b""
                if kind == 3 or (kind in (0, 1) and flags & 1):  # a reset, or the last frame
                    break
    return status, body
