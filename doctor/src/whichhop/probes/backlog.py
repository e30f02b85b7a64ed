"""
How many connections wait at a listening socket: what ``ss -xl`` and ``ss -tl`` show.

uWSGI itself cannot tell for a Unix socket: its stats say 0 however many wait. The kernel's answer,
sock_diag(7), belongs to the network of the process that listens, so this file is run in the
app's container, where there is hardly ever an ``ss``. Standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from pathlib import Path

# linux/sock_diag.h, linux/unix_diag.h, linux/netlink.h
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_DONE = 3
TCP_LISTEN = 10
SHOW_FILE_AND_QUEUE = 0x02 | 0x10
UNIX_DIAG_VFS, UNIX_DIAG_RQLEN = 1, 4


def unix(path: str) -> list[int]:
    """Return how many wait at a Unix socket, and how many may; empty when nobody listens there."""
    # By its file, not by its name: that may be another one since uWSGI bound it (it was renamed).
    # An inode's number is its file system's own: two small ones may have the same.
    status = Path(path).stat()
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)  # as the kernel has it inside
    wanted = struct.pack("=II", status.st_ino & 0xFFFFFFFF, device)
    show = (1 << TCP_LISTEN, 0, SHOW_FILE_AND_QUEUE, 0, 0)
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, *show)
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:  # NETLINK_SOCK_DIAG
        kernel.settimeout(2)
        kernel.send(header + request)
        while True:
            data = kernel.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind != SOCK_DIAG_BY_FAMILY:
                    return []
                attributes = _attributes(data[32:length])  # behind nlmsghdr and unix_diag_msg
                if attributes.get(UNIX_DIAG_VFS) == wanted:
                    return list(struct.unpack("=II", attributes[UNIX_DIAG_RQLEN]))
                data = data[length + 3 & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    """Return netlink attributes by their number."""
    found = {}
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        found[number] = data[4:length]
        data = data[max(length, 4) + 3 & ~3 :]
    return found


def tcp(port: int) -> list[int]:
    """Return how many wait at a TCP port; how many may, /proc/net/tcp does not say. proc(5)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
            return [int(fields[4].partition(":")[2], 16)]
    return []


if __name__ == "__main__":
    address = json.loads(sys.argv[1])
    try:
        print(json.dumps(unix(address) if isinstance(address, str) else tcp(address[1])))
    except OSError as error:
        sys.exit(f"the kernel does not say: {error}")
