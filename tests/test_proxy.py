"""Behind another proxy: who the client is, and who may say so."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter

from tests.conftest import started
from tests.support.people import PASSWORD, arrived, create_user
from tests.support.stack import PROJECT_LABEL, Stack

VISITOR = "203.0.113.7"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate that a proxy shows, and the root that signed it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    folder = tmp_path_factory.mktemp("proxy")
    folder.chmod(0o755)
    authority.cert_pem.write_to_path(str(folder / "root.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "key.pem").chmod(0o644)  # Caddy runs as a user of its own
    return folder


@pytest.fixture(scope="module")
def shared_stack(
    make_stack: Callable[..., Stack],
    free_port: Callable[[], int],
    certificate: Path,
    pytestconfig: pytest.Config,
) -> Iterator[Stack]:
    """`stack`, for the tests of this file: behind a proxy on this machine, Caddy, which does the TLS."""
    port = str(free_port())
    stack = make_stack(
        COMPOSE_FILE="compose.yaml:tests/proxy/compose.yaml",
        SITE_URL=f"https://site.example,https://localhost:{port}",
        SITE_TRUSTED_PROXIES="host,198.51.100.0/24,2001:db8::/32",
        PROXY_PORT=port,
        PROXY_CERTIFICATE=str(certificate),
    )
    stack.compose("build", "proxy", timeout=600)
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
    assert "set_real_ip_from" not in stack.run("nginx", "nginx", "-T")


# -- a real proxy: Caddy, with TLS

# What a visitor could write to look like somebody else. Caddy knows the first three, and says them
# itself; it passes on the others.
FORGED = {
    "X-Forwarded-For": VISITOR,
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Forwarded-SSL": "off",
    "X-Real-IP": VISITOR,
    "X-Request-ID": "forged",
    "Forwarded": f"for={VISITOR};host=evil.example;proto=http",
    "CF-Connecting-IP": VISITOR,
    "Remote-User": "admin",
}


class From(HTTPAdapter):
    """Connections that come from one address of this machine: all of 127.0.0.0/8 is its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **options)


@pytest.fixture
def visitor(certificate: Path) -> Callable[[str], requests.Session]:
    """Return a function that makes a visitor of the proxy, who has an address and trusts its root."""

    def make(address: str) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # no bundle of certificates but this one
        session.verify = str(certificate / "root.pem")
        session.mount("https://", From(address))
        return session

    return make


def public_url(stack: Stack) -> str:
    return f"https://localhost:{stack.variables['PROXY_PORT']}"


def try_to_log_in(stack: Stack, person: requests.Session, **fields: str) -> requests.Response:
    """Fill in the admin's form as a browser does, follow no redirect."""
    site = public_url(stack)
    page = person.get(f"{site}/admin/login/", timeout=10).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, page
    return person.post(
        f"{site}/admin/login/?next=/admin/",
        data={"csrfmiddlewaretoken": token[1], **fields},
        headers={"Origin": site, "Referer": f"{site}/admin/login/"},
        allow_redirects=False,
        timeout=10,
    )


@pytest.mark.parametrize("headers", [{}, FORGED], ids=["honest", "forged"])
def test_through_caddy_all_is_as_the_visitor_sees_it(
    stack: Stack, visitor: Callable[[str], requests.Session], headers: dict[str, str]
) -> None:
    answer = visitor("127.0.0.7").get(f"{public_url(stack)}/", headers=headers, timeout=10)
    seen = arrived(answer.text)
    assert seen.pop("request id") == answer.headers["X-Request-ID"] != "forged"
    assert seen == {
        "scheme": "https",
        "host": f"localhost:{stack.variables['PROXY_PORT']}",
        "port": stack.variables["PROXY_PORT"],
        "client": "127.0.0.7",
    }
    assert stack.log_entry("nginx", answer.headers["X-Request-ID"])["client"] == "127.0.0.7"


def test_through_caddy_one_can_log_in(
    stack: Stack, visitor: Callable[[str], requests.Session]
) -> None:
    create_user(stack, "visitor")
    person = visitor("127.0.0.7")
    answer = try_to_log_in(stack, person, username="visitor", password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert {cookie.name: cookie.secure for cookie in person.cookies} == {
        "csrftoken": True,
        "sessionid": True,
    }
    assert "Site administration" in person.get(f"{public_url(stack)}/admin/", timeout=10).text


def test_through_caddy_another_origin_may_not(
    stack: Stack, visitor: Callable[[str], requests.Session]
) -> None:
    """Nor our own host over plain HTTP, which is what Django would take itself for without SITE_URL."""
    person = visitor("127.0.0.7")
    site = public_url(stack)
    person.get(f"{site}/admin/login/", timeout=10)
    for origin in ("https://evil.example", site.replace("https", "http")):
        answer = person.post(
            f"{site}/admin/login/",
            data={"csrfmiddlewaretoken": person.cookies["csrftoken"]},
            headers={"Origin": origin, "X-Forwarded-Proto": "http"},
            timeout=10,
        )
        assert answer.status_code == 403


def test_through_caddy_each_visitor_has_a_limit_of_their_own(
    stack: Stack, visitor: Callable[[str], requests.Session]
) -> None:
    """Not one for the proxy, and not a new one for each address that somebody makes up."""
    guesser = visitor("127.0.0.8")
    statuses = []
    for number in range(40):
        answer = guesser.post(
            f"{public_url(stack)}/admin/login/",
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
            timeout=10,
        )
        statuses.append(answer.status_code)
    assert statuses[0] == 403
    assert statuses[-1] == 429
    assert (
        visitor("127.0.0.9").post(f"{public_url(stack)}/admin/login/", timeout=10).status_code
        == 403
    )
