"""Behind another proxy: who the client is, and who may say so."""

import subprocess
from collections.abc import Callable, Iterator

import pytest
import requests

from hops.stack import PROJECT_LABEL, Stack
from tests.conftest import started

VISITOR = "203.0.113.7"


@pytest.fixture(scope="module")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """`stack`, for the tests of this file: behind a proxy on this machine, which does the TLS."""
    stack = make_stack(
        SITE_URL="https://site.example", SITE_TRUSTED_PROXIES="host,198.51.100.0/24,2001:db8::/32"
    )
    with started(stack, pytestconfig):
        yield stack


def client(stack: Stack, **headers: str) -> str:
    """Ask as the proxy does, and return whom nginx and Django take for the client."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = requests.get(stack.url, headers={"Host": "site.example", **given}, timeout=5)
    assert answer.status_code == 200
    assert "<dt>scheme</dt><dd>https</dd>" in answer.text
    entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
    assert entry["host"] == "site.example"
    assert f"<dt>client</dt><dd>{entry['client']}</dd>" in answer.text
    return str(entry["client"])


def gateway(stack: Stack) -> str:
    [network] = stack.container("nginx").attrs["NetworkSettings"]["Networks"].values()
    return str(network["Gateway"])


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        (VISITOR, VISITOR),
        ("2a02:db8::7", "2a02:db8::7"),
        # What the visitor wrote stands to the left of what the proxy added.
        (f"127.0.0.1, {VISITOR}", VISITOR),
        (f"192.0.2.1,192.0.2.2, {VISITOR}", VISITOR),
        # Two proxies, one behind the other, both known.
        (f"192.0.2.1, {VISITOR}, 198.51.100.9", VISITOR),
        (f"{VISITOR}, 2001:db8::5, 198.51.100.9", VISITOR),
    ],
)
def test_the_client_is_whom_the_proxy_names(stack: Stack, forwarded: str, seen: str) -> None:
    assert client(stack, X_Forwarded_For=forwarded) == seen


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Forwarded_For": "not an address"},
        {"X_Real_IP": VISITOR},
        {"Forwarded": f"for={VISITOR}"},
        {"CF_Connecting_IP": VISITOR},
        {"True_Client_IP": VISITOR},
    ],
    ids=str,
)
def test_without_x_forwarded_for_the_client_is_the_proxy(
    stack: Stack, headers: dict[str, str]
) -> None:
    assert client(stack, **headers) == gateway(stack)


def test_scheme_and_host_do_not_come_from_headers(stack: Stack) -> None:
    lies = {
        "X_Forwarded_Proto": "http",
        "X_Forwarded_Host": "evil.example",
        "X_Forwarded_SSL": "off",
    }
    assert client(stack, X_Forwarded_For=VISITOR, **lies) == VISITOR


def test_somebody_else_is_not_believed(stack: Stack) -> None:
    """A neighbour on nginx's own network, who is not the proxy."""
    request = (
        "exec 3<>/dev/tcp/nginx/8080; printf 'GET /?neighbour HTTP/1.0\\r\\nHost: site.example\\r\\n"
        f"X-Forwarded-For: {VISITOR}\\r\\n\\r\\n' >&3; head --lines=1 <&3"
    )
    command = ["docker", "run", "--rm", "--network", f"{stack.project}_default", "--entrypoint"]
    command += ["bash", "--label", f"{PROJECT_LABEL}={stack.project}", f"{stack.project}-nginx"]
    said = subprocess.run([*command, "-c", request], capture_output=True, text=True, timeout=60)
    assert " 200 " in said.stdout, said
    seen = stack.log_entry("nginx", "?neighbour")["client"]
    assert seen not in (VISITOR, gateway(stack))


def test_nobody_is_believed_unless_named(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(SITE_URL="https://site.example")
    assert client(stack, X_Forwarded_For=VISITOR) == gateway(stack)
    assert "real_ip" not in stack.run("nginx", "nginx", "-T")
