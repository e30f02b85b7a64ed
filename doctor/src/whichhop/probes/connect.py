"""Connect to a socket (a path or host:port) and print "connected" or the kernel's error, as connect.pl does."""

import socket
import sys

to = sys.argv[1]
try:
    if to.startswith("/"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(to)
    else:
        host, port = to.rsplit(":", 1)
        socket.create_connection((host, int(port)), 2).close()
    print("connected", end="")
except socket.gaierror:
    print("unknown host", end="")
except TimeoutError:
    print("Connection timed out", end="")
except OSError as error:
    print(error.strerror, end="")
