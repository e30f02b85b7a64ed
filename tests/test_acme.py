"""With compose/acme.yaml: certificates from an ACME server, Caddy's, that nobody has to think of again."""

import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from whichhop.finding import Finding, Verdict

from tests.conftest import discard, watched
from tests.support.doctor import assert_healthy, first_broken, walk
from tests.support.stack import Stack
from tests.support.tls_client import Visitors, ask, names, shown, trusting, wait_for_another

FILES = "compose.yaml:compose/tls.yaml:compose/acme.yaml:tests/acme/compose.yaml"
FILE = "/srv/certificates/site.pem"
HOST, WWW = "site.example", "www.site.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs what the ACME server issues; nobody else trusts it."""
    return trustme.CA()


@pytest.fixture(scope="module")
def client(authority: trustme.CA) -> ssl.SSLContext:
    return trusting(authority)


@pytest.fixture(scope="module")
def shared_stack(
    make_stack: Callable[..., Stack],
    free_port: Callable[[], int],
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("acme")
    directory.chmod(0o755)
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    authority.private_key_pem.write_to_path(str(directory / "root.key"))
    (directory / "root.key").chmod(0o644)
    port = free_port()
    stack = make_stack(
        COMPOSE_FILE=FILES,
        SITE_URL=f"https://{HOST}:{port},https://{WWW}:{port}",
        SITE_PORT=str(port),
        SITE_HTTP_PORT=str(free_port()),
        SITE_ACME_URL="https://acme.example/acme/local/directory",
        BUILD_CA=os.environ.get("BUILD_CA", "/dev/null"),
        ACME_ROOT=str(directory),
    )
    try:
        stack.compose("build", "acme", timeout=600)
        stack.variables["BUILD_CA"] = str(directory / "root.pem")
        stack.up("--no-build")
        yield stack
    finally:
        discard(stack, pytestconfig)


@pytest.fixture
def stack(request: pytest.FixtureRequest, shared_stack: Stack) -> Iterator[Stack]:
    """A site that has its first certificate from the ACME server."""

    def issued() -> bool:
        return "CN=self-signed" not in shown(shared_stack, HOST).issuer.rfc4514_string()

    try:
        shared_stack.wait("the first certificate is issued", issued, 90, "renewal")
    except Exception:
        print(shared_stack.logs("renewal"), shared_stack.logs("acme"))
        raise
    with watched(request.node, shared_stack) as stack:
        yield stack


def label(stack: Stack) -> str:
    return stack.run("renewal", "head", "--lines=1", FILE).strip()


def aged(authority: trustme.CA, age: int, left: int) -> trustme.LeafCert:
    """Return a certificate that was made some days ago, and has some left."""
    now = datetime.now(UTC)
    begin, end = now - timedelta(days=age), now + timedelta(days=left)
    return authority.issue_cert(HOST, WWW, not_before=begin, not_after=end)


def hand_over(stack: Stack, certificate: trustme.LeafCert) -> None:
    """Give nginx a certificate in the ACME server's name, as if it came from there some time ago."""
    before = shown(stack, HOST)
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode()
    text = f"{label(stack)}\n{chain}\n{certificate.private_key_pem.bytes().decode()}"
    script = f"umask 077; printf '%s' \"$1\" >{FILE}.new; mv {FILE}.new {FILE}"
    stack.run("renewal", "bash", "-ec", script, "bash", text)
    wait_for_another(stack, before, HOST)


def look_now(stack: Stack) -> None:
    """Have the service look at the certificate, and wait until it sleeps again."""

    def sleeper() -> str:
        return stack.run(
            "renewal", "bash", "-c", "grep --files-with-matches ^sleep /proc/[0-9]*/comm; :"
        )

    before = stack.wait("it sleeps", sleeper, 60, "renewal")
    stack.compose("kill", "--signal", "HUP", "renewal")
    stack.wait("it sleeps again", lambda: sleeper() not in ("", before), 60, "renewal")


def test_a_certificate_is_issued_for_all_names(
    stack: Stack, client: ssl.SSLContext, authority: trustme.CA
) -> None:
    for host in (HOST, WWW):
        address = f"{host}:{stack.variables['SITE_PORT']}"
        answer = ask(stack, host=address, context=client)
        assert answer.status == 200
    certificate = shown(stack, HOST)
    assert names(certificate) == [HOST, WWW]
    assert isinstance(certificate.public_key(), EllipticCurvePublicKey)
    assert label(stack) == f"# from {stack.variables['SITE_ACME_URL']} for {HOST} {WWW}"


def test_the_site_was_up_before_it(stack: Stack) -> None:
    """nginx does not wait for the ACME server, which could not ask it back: it begins self-signed."""
    assert "a certificate that is self-signed for" in stack.logs("certificate")


def test_a_good_certificate_is_left_alone(stack: Stack) -> None:
    before = stack.run("renewal", "cat", FILE)
    look_now(stack)
    assert stack.run("renewal", "cat", FILE) == before
    stack.compose("run", "--rm", "--no-deps", "--no-TTY", "certificate")
    stack.compose("up", "--no-build", "--wait", "--force-recreate", "--no-deps", "renewal")
    look_now(stack)
    assert stack.run("renewal", "cat", FILE) == before


def test_it_is_renewed_under_load_without_a_failed_request(
    stack: Stack,
    authority: trustme.CA,
    client: ssl.SSLContext,
) -> None:
    hand_over(stack, aged(authority, 61, 29))
    before = shown(stack, HOST)
    with Visitors(stack, HOST) as crowd:
        time.sleep(2)
        stack.compose("kill", "--signal", "HUP", "renewal")
        wait_for_another(stack, before, HOST)
        time.sleep(4)
    assert crowd.failures == []
    assert crowd.answers > 200
    print(f"{crowd.answers} answers, none failed")
    assert ask(stack, host=f"{HOST}:{stack.variables['SITE_PORT']}", context=client).status == 200
    assert shown(stack, HOST).public_key() != before.public_key()


def test_two_thirds_of_its_time_it_is_left_alone(stack: Stack, authority: trustme.CA) -> None:
    hand_over(stack, aged(authority, 59, 31))
    before = stack.run("renewal", "cat", FILE)
    look_now(stack)
    assert stack.run("renewal", "cat", FILE) == before


def test_when_the_server_is_away_the_site_goes_on_and_the_log_says_so(
    stack: Stack,
    authority: trustme.CA,
) -> None:
    hand_over(stack, aged(authority, 80, 10))
    before = shown(stack, HOST)
    stack.compose("stop", "acme")
    since = time.time()
    stack.compose("kill", "--signal", "HUP", "renewal")
    sentence = (
        f"{stack.variables['SITE_ACME_URL']} gave no certificate for {HOST} {WWW}; I try again"
    )

    def said() -> bool:
        return sentence in stack.logs("renewal", since)

    stack.wait("the log says so", said, 60, "renewal")
    assert shown(stack, HOST) == before
    # A restart of the whole keeps it, too.
    stack.compose("run", "--rm", "--no-deps", "--no-TTY", "certificate")
    assert label(stack).startswith("# from ")
    # The server is back: the next try works.
    stack.compose("up", "--no-build", "--wait", "--no-deps", "acme")
    stack.compose("kill", "--signal", "HUP", "renewal")
    wait_for_another(stack, before, HOST)


def test_the_keys_are_for_those_who_need_them(stack: Stack) -> None:
    """nginx reads the certificate's key; the account's is for the one who asks alone."""
    mode = stack.run("renewal", "stat", "-c", "%u:%g %a", FILE, "/srv/acme", "/srv/acme-challenge")
    assert mode == "10002:10100 600\n10002:10100 700\n10002:10100 750\n"
    for service in ("nginx", "app"):
        assert stack.exec(service, "ls", "/srv/acme").code != 0
    assert stack.run("renewal", "find", "/srv/acme", "-type", "f", "-perm", "/077") == ""


def test_old_keys_do_not_pile_up(stack: Stack) -> None:
    keys = stack.run("renewal", "find", "/srv/acme", "-type", "f", "-name", "privkey*").split()
    assert len(keys) == 1, keys


def test_nothing_is_left_in_the_webroot(stack: Stack) -> None:
    assert stack.run("nginx", "ls", "/srv/acme-challenge") == ""


def test_the_webroot_shows_its_files_and_nothing_else(stack: Stack) -> None:
    stack.run("renewal", "bash", "-c", "umask 022; printf proof >/srv/acme-challenge/token-1_a")
    place = "/.well-known/acme-challenge"
    answer = ask(stack, f"{place}/token-1_a", HOST, port="SITE_HTTP_PORT")
    assert (answer.status, answer.body) == (200, "proof")
    assert answer.headers["Content-Type"] == "text/plain"
    for path in ("/nothing", "/", "/../../certificates/site.pem", "/..%2fcertificates/site.pem"):
        seen = ask(stack, place + path, HOST, port="SITE_HTTP_PORT")
        assert seen.status in (301, 400, 403, 404), path
        assert "PRIVATE KEY" not in seen.body
    assert ask(stack, f"{place}/token-1_a", "evil.example", port="SITE_HTTP_PORT").status == 421
    stack.run("renewal", "rm", "/srv/acme-challenge/token-1_a")


def test_the_one_who_asks_may_do_as_little_as_it_can_live_with(stack: Stack) -> None:
    host = stack.container("renewal").attrs["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["NetworkMode"] == f"{stack.project}_default"
    assert stack.container("certificate").attrs["HostConfig"]["NetworkMode"] == "none"


def test_your_own_certificate_and_acme_exclude_each_other(stack: Stack) -> None:
    command = ["run", "--rm", "--no-deps", "--no-TTY"]
    for name in ("SITE_TLS_CERTIFICATE", "SITE_TLS_KEY"):
        command += ["--env", f"{name}=own.pem"]
    process = stack.compose(*command, "certificate", check=False)
    assert process.returncode == 1
    assert "choose one of them" in process.stderr


def test_a_name_that_is_not_ours_to_prove(stack: Stack) -> None:
    """The server is asked in vain; what it said is in the log, and nginx keeps what it has."""
    before = shown(stack, HOST)
    # A name that leads nowhere keeps Caddy looking for ever; five minutes are too long for a test.
    script = """
        timeout() { shift; command timeout 8s "$@"; }; export -f timeout
        bash /certificate/certificate.sh renew acme >/tmp/said &
        until grep --quiet 'gave no' /tmp/said || ((SECONDS > 30)); do sleep 0.5; done
        sleep 0.5; cat /tmp/said
    """
    said = stack.compose(
        "run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "bash",
        "--env", "SITE_URL=https://nowhere.example", "renewal", "-c", script, check=False,
    ).stdout  # fmt: skip
    assert "gave no certificate for nowhere.example" in said
    assert re.search(r"^certificate: \| .*nowhere\.example", said, re.MULTILINE), said
    assert shown(stack, HOST) == before


def test_the_doctor_says_that_no_certificate_comes_and_why(stack: Stack) -> None:
    """An advice while nginx has a good one; broken when visitors see the self-signed one."""
    address = "https://nowhere.example/directory"
    other = Stack(stack.directory, stack.project, {**stack.variables, "SITE_ACME_URL": address})
    renewal = ("up", "--detach", "--no-deps", "--no-build", "renewal")

    def found() -> Finding | None:
        return next((item for item in walk(stack) if item.cause == "certificate-not-issued"), None)

    other.compose(*renewal)
    try:
        advised = stack.wait("the doctor says so", found, 60, "renewal")
        assert advised.verdict is Verdict.WARNING
        assert f"{address} gave no certificate for {HOST}" in advised.evidence[0]
        assert "nowhere.example" in advised.summary
        before = shown(stack, HOST)
        stack.run("renewal", "bash", "/certificate/certificate.sh", "prepare")  # without "acme"
        wait_for_another(stack, before, HOST)
        broken = first_broken(walk(stack))
        assert (broken.hop, broken.cause) == ("tls", "certificate-not-issued")
    finally:
        before = shown(stack, HOST)
        stack.compose(*renewal)
        wait_for_another(stack, before, HOST)
    assert_healthy(stack)
