"""
One request as nginx sends it to uWSGI, byte for byte, captured at the Unix socket of rung 6.

https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
"""

import struct
from concurrent.futures import ThreadPoolExecutor

from whichhop.target.stack import Stack

from ladder import rungs
from ladder.rungs import Rung
from ladder.table import table

PATH = "/hello?name=World"

# Takes uWSGI's place: accepts one request, prints it, and answers as a Python site would.
LISTENER = """
import os, socket
path = "/run/uwsgi/mysite.sock"
if os.path.exists(path): os.unlink(path)
listener = socket.socket(socket.AF_UNIX); listener.bind(path); os.chmod(path, 0o664); listener.listen()
connection, _ = listener.accept()
stream = connection.makefile("rb")
head = stream.read(4)
print((head + stream.read(int.from_bytes(head[1:3], "little"))).hex())
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\ngot it")
"""


def capture(stack: Stack, rung: Rung) -> bytes:
    """Return the packet that rung 6's nginx sends for ``PATH``; replaces its uWSGI meanwhile."""
    stack.compose("kill", "rung6-uwsgi")
    try:
        with ThreadPoolExecutor(1) as pool:
            listener = pool.submit(
                stack.compose, "run", "--rm", "--no-deps", "--no-TTY", "rung6-uwsgi",
                "python3", "-c", LISTENER,
            )  # fmt: skip

            def answered() -> bool:
                return listener.done() or rungs.get(rung.port, PATH).body == b"got it"

            stack.wait("nginx reaches the listener", answered, 30, "rung6-nginx")
            return bytes.fromhex(listener.result().stdout.strip())
    finally:
        stack.compose("start", "rung6-uwsgi")


def variables(packet: bytes) -> list[tuple[str, str]]:
    """Return the variables of a packet in order; raise ``struct.error`` if it is incomplete."""
    texts = []
    place = 4
    while place < len(packet):
        (length,) = struct.unpack_from("<H", packet, place)
        texts.append(packet[place + 2 : place + 2 + length].decode())
        place += 2 + length
    return list(zip(texts[::2], texts[1::2], strict=True))


def show(packet: bytes) -> str:
    """Return the first bytes of a packet and a table of all its fields."""
    modifier1, size, modifier2 = struct.unpack_from("<BHB", packet)

    def length(text: str) -> str:
        return f"`{struct.pack('<H', len(text.encode())).hex(' ')}` ({len(text.encode())})"

    dump = "\n".join(
        f"{start:04x}  {packet[start : start + 16].hex(' '):<47}  "
        + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in packet[start : start + 16])
        for start in range(0, 96, 16)
    )
    head = [
        [f"`{packet[:1].hex()}`", "modifier1", f"{modifier1}: a request for Python"],
        [f"`{packet[1:3].hex(' ')}`", "size of all that follows", f"{size} bytes"],
        [f"`{packet[3:4].hex()}`", "modifier2", f"{modifier2}: not used"],
    ]
    rows = [
        [length(name), f"`{name}`", length(value), f"`{value}`" if value else "(empty)"]
        for name, value in variables(packet)
    ]
    return (
        f"```text\n{dump}\n…\n```\n\n"
        + table(("bytes", "field", "value"), head)
        + "\n\n"
        + table(("length", "name", "length", "value"), rows)
    )


def block(stack: Stack, rung: Rung) -> str:
    """Return the block for README.md."""
    return show(capture(stack, rung))
