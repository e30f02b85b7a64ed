"""
Count the connections that wait at a listening socket, as ``ss -xl`` and ``ss -tl`` do.

For a Unix socket, uWSGI's own stats always say 0. The kernel, asked by sock_diag(7), knows, but only in the
network namespace of the listening process. So this file is run in the app's container, which rarely
has ``ss``. Standard library only, Python 3.9 or later.
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
    """Return how many connections wait at a Unix socket, and the limit; empty if nothing listens there."""
    # By its inode, not its name, which may have changed since uWSGI bound it (it was renamed).
    # Inode numbers are unique only within a file system, so compare the device, too.
    status = Path(path).stat()
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)  # the kernel's internal form
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
                attributes = _attributes(data[32:length])  # after nlmsghdr and unix_diag_msg
                if attributes.get(UNIX_DIAG_VFS) == wanted:
                    return list(struct.unpack("=II", attributes[UNIX_DIAG_RQLEN]))
                data = data[length + 3 & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    """Return netlink attributes by number."""
    found = {}
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        found[number] = data[4:length]
        data = data[max(length, 4) + 3 & ~3 :]
    return found


def tcp(port: int) -> list[int]:
    """Return how many connections wait at a TCP port; /proc/net/tcp does not show the limit. proc(5)."""
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
