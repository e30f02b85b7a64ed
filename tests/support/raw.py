"""Requests as no library would send them: the very bytes, over a socket of their own."""

import contextlib
import io
import socket
from http.client import HTTPResponse
from typing import cast

from whichhop.stack import Stack


class Received(io.BytesIO):
    """All that was received, as ``HTTPResponse`` wants it: a socket that one answer does not close."""

    def makefile(self, mode: str) -> "Received":
        return self

    def close(self) -> None:
        pass


def connect(stack: Stack) -> socket.socket:
    """Return a connection to nginx on the published port."""
    return socket.create_connection(("localhost", int(stack.variables["SITE_PORT"])), timeout=15)


def exchange(stack: Stack, request: bytes, quiet: float = 1) -> list[tuple[HTTPResponse, str]]:
    """
    Send ``request`` and return all answers to it, each with its body.

    What came counts as all of it when nginx closes the connection, or sends nothing more for ``quiet``
    seconds.
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
