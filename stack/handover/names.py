"""The names of the socket: the public one, at which nginx asks, and the one that stays this server's own."""

import socket
from pathlib import Path

PUBLIC = Path("/run/uwsgi/mysite.sock")
OWN = PUBLIC.with_name(f"{socket.gethostname()}.sock")


def somebody_serves() -> bool:
    """Return whether a server listens at the public name, this one or another."""
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
    """Return whether the public name is this server's."""
    return PUBLIC.exists() and OWN.exists() and PUBLIC.samefile(OWN)
