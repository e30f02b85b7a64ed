"""The names of the socket: the public one, to which nginx connects, and this server's private one."""

import socket
from pathlib import Path

PUBLIC = Path("/run/uwsgi/mysite.sock")
OWN = PUBLIC.with_name(f"{socket.gethostname()}.sock")


def somebody_serves() -> bool:
    """Return whether any server, this one included, listens at the public name."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(PUBLIC))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # its queue is full
            return True
    return True


def serves() -> bool:
    """Return whether this server has the public name."""
    return PUBLIC.exists() and OWN.exists() and PUBLIC.samefile(OWN)
