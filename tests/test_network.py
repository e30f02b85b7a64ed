"""compose/network.yaml: the site may call out, and nothing else opens."""

import socket
from collections.abc import Callable

import requests

from tests.support.stack import Stack

CALL = """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).sendall(b"hello")
"""


def networks(stack: Stack, service: str) -> dict[str, dict[str, str]]:
    """Return the networks of a service's container, by their names in compose.yaml."""
    found = stack.container(service).attrs["NetworkSettings"]["Networks"]
    return {name.removeprefix(f"{stack.project}_"): network for name, network in found.items()}


def test_with_the_overlay_the_site_can_call_out(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(COMPOSE_FILE="compose.yaml:compose/network.yaml")
    gateway = networks(stack, "app")["outgoing"]["Gateway"]
    with socket.create_server((gateway, 0)) as server:
        server.settimeout(5)
        stack.run("app", "python3", "-c", CALL, gateway, str(server.getsockname()[1]))
        connection, _ = server.accept()
        with connection:
            assert connection.recv(5) == b"hello"

    # The chain still goes over the socket, and nginx and the site cannot see each other.
    assert requests.get(stack.url, timeout=5).status_code == 200
    assert set(networks(stack, "nginx")) == {"default"}
    assert set(networks(stack, "app")) == {"outgoing"}
    assert stack.container("app").attrs["NetworkSettings"]["Ports"] == {}


def test_without_it_the_site_has_no_network(stack: Stack) -> None:
    assert set(networks(stack, "app")) == {"none"}
