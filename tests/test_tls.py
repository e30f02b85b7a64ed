"""Hop `tls`: with compose/tls.yaml, the connection is what the public address promises."""

import contextlib
import json
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from playwright.sync_api import Browser, Error, Page, expect
from whichhop.finding import Verdict

from dev.audit.result import unanswered
from dev.audit.tools import gixy
from tests.conftest import started, watched
from tests.support.doctor import assert_healthy, first_broken, walk
from tests.support.people import PASSWORD, create_user
from tests.support.raw import http2
from tests.support.stack import PROJECT_LABEL, Output, Stack
from tests.support.tls_client import (
    HOSTS,
    Visitors,
    ask,
    connect,
    names,
    shown,
    trusting,
    wait_for_another,
)

TLS = "compose.yaml:compose/tls.yaml"
FILE = "/srv/certificates/site.pem"


# -- two sites: one with a certificate of its own, one without


def write(directory: Path, certificate: trustme.LeafCert) -> dict[str, str]:
    """Write a certificate as files, as somebody gets them; return the variables that name them."""
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    (directory / "certificate.pem").write_bytes(chain)
    (directory / "key.pem").write_bytes(certificate.private_key_pem.bytes())
    for path in directory.glob("*.pem"):
        path.chmod(0o644)  # the suite need not be root: it cannot make nginx's user the owner
    return {
        "SITE_TLS_CERTIFICATE": str(directory / "certificate.pem"),
        "SITE_TLS_KEY": str(directory / "key.pem"),
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def client(authority: trustme.CA) -> ssl.SSLContext:
    """Somebody who trusts the authority, and nobody else."""
    return trusting(authority)


@pytest.fixture(scope="module")
def shared_stack(
    make_stack: Callable[..., Stack],
    free_port: Callable[[], int],
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Stack]:
    """`stack`, for the tests of this file: a public site of two names, with its own certificate."""
    port = free_port()
    files = write(tmp_path_factory.mktemp("tls"), authority.create_child_ca().issue_cert(*HOSTS))
    stack = make_stack(
        COMPOSE_FILE=f"{TLS}:tests/cache/compose.yaml",  # with pages that are public
        SITE_URL=f"https://{HOSTS[0]}:{port},https://{HOSTS[1]}:{port}",
        SITE_PORT=str(port),
        SITE_HTTP_PORT=str(free_port()),
        SITE_HSTS_SECONDS="1234567",
        **files,
    )
    with started(stack, pytestconfig):
        yield stack


@pytest.fixture(scope="module")
def shared_plain_settings(
    make_stack: Callable[..., Stack], free_port: Callable[[], int], pytestconfig: pytest.Config
) -> Iterator[Stack]:
    stack = make_stack(COMPOSE_FILE=TLS, SITE_HTTP_PORT=str(free_port()))
    with started(stack, pytestconfig):
        yield stack


@pytest.fixture
def plain_settings(request: pytest.FixtureRequest, shared_plain_settings: Stack) -> Iterator[Stack]:
    """A site as it is with nothing but compose/tls.yaml: on localhost, self-signed."""
    with watched(request.node, shared_plain_settings) as stack:
        yield stack


# -- the handshake


def test_a_browser_that_knows_the_authority_trusts_the_site(
    stack: Stack, client: ssl.SSLContext
) -> None:
    """Which needs the whole chain: the certificate comes from an authority in between."""
    for name in HOSTS:
        answer = ask(stack, host=f"{name}:{stack.variables['SITE_PORT']}", context=client)
        assert answer.status == 200
        assert "<dt>scheme</dt><dd>https</dd>" in answer.body


@pytest.mark.parametrize("name", ["evil.example", "sub.site.example", "localhost", None])
def test_a_name_that_is_not_ours_gets_no_certificate(stack: Stack, name: str | None) -> None:
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        connect(stack, trusting(), name)


def test_a_host_that_is_not_ours_stops_at_nginx_in_spite_of_a_good_name(
    stack: Stack, client: ssl.SSLContext
) -> None:
    answer = ask(stack, context=client, headers={"Host": "evil.example"})
    assert answer.status == 421
    entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
    assert (entry["host"], entry["upstream_status"]) == ("evil.example", "")


def versions(only: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks one version alone, with any cipher: what is refused, the server refuses."""
    context = trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = only
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(stack: Stack, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        connect(stack, versions(version))


@pytest.mark.parametrize(
    ("version", "name"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
def test_current_versions_are_spoken(stack: Stack, version: ssl.TLSVersion, name: str) -> None:
    with connect(stack, versions(version)) as connection:
        assert connection.version() == name


def ciphers(only: str) -> ssl.SSLContext:
    context = versions(ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"{only}:@SECLEVEL=0")
    return context


@pytest.mark.parametrize(
    "cipher",
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ],
)
def test_strong_ciphers_are_taken(stack: Stack, cipher: str) -> None:
    with connect(stack, ciphers(cipher)) as connection:
        assert (connection.cipher() or ("",))[0] == cipher


@pytest.mark.parametrize(
    "cipher",
    [
        "ECDHE-ECDSA-AES128-SHA256",  # CBC
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-ECDSA-AES128-CCM8",  # a short tag
        "ECDHE-ECDSA-ARIA128-GCM-SHA256",
        "aNULL",
    ],
)
def test_other_ciphers_are_refused(stack: Stack, cipher: str) -> None:
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        connect(stack, ciphers(cipher))


def test_a_session_is_resumed_without_a_ticket(stack: Stack, client: ssl.SSLContext) -> None:
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with connect(stack, client) as first:
            session = first.session
            with contextlib.suppress(OSError):
                first.unwrap()  # OpenSSL forgets a session that was not closed
        assert session is not None
        assert not session.has_ticket
        with connect(stack, client, session=session) as second:
            assert second.session_reused
    finally:
        client.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED


def beside_nginx(stack: Stack, *command: str) -> str:
    """Run a command in a container that has the tools, in nginx's own network; return all it says."""
    process = subprocess.run(
        ["docker", "run", "--rm", "--interactive", "--label", f"{PROJECT_LABEL}={stack.project}",
         "--network", f"container:{stack.container('nginx').id}", "--user", "10002:10100",
         "--entrypoint", command[0], f"{stack.project}-certificate", *command[1:]],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return process.stdout + process.stderr


def test_the_key_exchange_withstands_quantum_computers(stack: Stack) -> None:
    said = beside_nginx(
        stack, "openssl", "s_client", "-connect", "127.0.0.1:8443", "-servername", HOSTS[0]
    )
    assert "Negotiated TLS1.3 group: X25519MLKEM768" in said


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)]
)
def test_http2_is_spoken_with_who_asks_for_it(
    stack: Stack, offered: list[str], chosen: str | None
) -> None:
    context = trusting()
    if offered:
        context.set_alpn_protocols(offered)
    with connect(stack, context) as connection:
        assert connection.selected_alpn_protocol() == chosen


@pytest.mark.parametrize(
    ("path", "referer", "status"),
    [
        (b"/static/%0Aforged", b"x", 400),
        (b"/media/%0Dforged", b"x", 400),
        (b"/%1B[2J", b"x", 400),
        (b"/static/nope", b"\x1b[2J", 400),
        (b"/static/nope", b"a\nforged", 400),
        (b"/static/\nforged", b"x", 400),
    ],
)
def test_no_client_can_write_a_line_of_nginx_error_log_over_http2(
    stack: Stack, path: bytes, referer: bytes, status: int
) -> None:
    context = trusting()
    context.set_alpn_protocols(["h2"])
    host = f"{HOSTS[0]}:{stack.variables['SITE_PORT']}".encode()
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", host), (b":path", path)]
    began = time.time()
    with connect(stack, context) as connection:
        first, body = http2(connection, [*pseudo, (b"referer", referer)])
    assert {0: 0, 0x8C: 400, 0x8D: 404}[first] == status
    if status:
        request_id = re.search(rb"Error 400, request (\w+)", body)
        assert request_id
        stack.log_entry("nginx", request_id[1].decode())
    assert [line for line in stack.logs("nginx", began).splitlines() if line[:1] != "{"] == []


# -- HTTP/3


@pytest.fixture
def http3(
    request: pytest.FixtureRequest, shared_plain_settings: Stack
) -> Iterator[Callable[..., str]]:
    """Return a function that asks over HTTP/3 alone, through the published port, as curl does."""
    stack = shared_plain_settings
    files = f"{TLS}:compose/http3.yaml"
    Stack(stack.directory, stack.project, {**stack.variables, "COMPOSE_FILE": files}).up(
        "--no-build"
    )

    def ask_quic(host: str) -> str:
        port = stack.variables["SITE_PORT"]
        process = subprocess.run(
            ["docker", "run", "--rm", "--network", "host", "--entrypoint", "curl",
             "--label", f"{PROJECT_LABEL}={stack.project}", f"{stack.project}-certificate",
             "--silent", "--show-error", "--insecure", "--http3-only", "--include", "--max-time", "9",
             "--connect-to", f"{host}:{port}:127.0.0.1:{port}", f"https://{host}:{port}/"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return process.stdout + process.stderr

    with watched(request.node, stack):
        yield ask_quic
        stack.up("--no-build")


def test_http3_is_spoken_when_asked_for(http3: Callable[..., str], plain_settings: Stack) -> None:
    """Found by the header that pages have over HTTP/2; the port is not lost, though there is no Host."""
    port = plain_settings.variables["SITE_PORT"]
    over_http2 = ask(plain_settings, host=f"localhost:{port}", context=trusting())
    assert over_http2.headers.get_all("Alt-Svc") == [f'h3=":{port}"; ma=86400']
    said = http3("localhost")
    assert said.startswith("HTTP/3 200")
    assert f"<dt>host</dt><dd>localhost:{port}</dd>" in said
    assert "<dt>scheme</dt><dd>https</dd>" in said
    assert http3("evil.example").startswith("HTTP/3 421")


def test_http3_is_off_unasked(plain_settings: Stack) -> None:
    answer = ask(plain_settings, host="localhost", context=trusting())
    assert "Alt-Svc" not in answer.headers
    assert not re.search(r"^ *listen .*quic", plain_settings.run("nginx", "nginx", "-T"), re.M)
    assert set(plain_settings.container("nginx").attrs["NetworkSettings"]["Ports"]) == {
        "8443/tcp",
        "8080/tcp",
    }


def test_gixy_finds_nothing_without_an_answer(stack: Stack) -> None:
    """A static analyser of nginx's configuration; with HTTP/3, scripts/audit has it look."""
    assert unanswered("gixy", [gixy(stack)]) == []


# -- pages that nginx keeps (the rest: test_cache.py)


def test_a_public_page_is_kept_for_each_host_by_itself(
    stack: Stack, client: ssl.SSLContext
) -> None:
    path = "/pages/?Cache-Control=public,max-age=600&say=wsgi.url_scheme,HTTP_HOST"
    pages = []
    for name in HOSTS:
        host = f"{name}:{stack.variables['SITE_PORT']}"
        for state in ("MISS", "HIT"):
            pages.append(ask(stack, path, host, context=client))
            assert pages[-1].headers.get_all("X-Cache") == [state]
            assert f"wsgi.url_scheme=https\nHTTP_HOST={host}\n" in pages[-1].body
    assert len({page.body for page in pages}) == 2
    # Who comes by plain HTTP is sent to HTTPS, whatever is kept.
    assert ask(stack, path, HOSTS[0], port="SITE_HTTP_PORT").status == 301


# -- from HTTP to HTTPS


@pytest.mark.parametrize("port", ["SITE_HTTP_PORT", "SITE_PORT"])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "path", ["/", "/a/b?x=1&y=%20z&y", "/x/%2e%2e/caf%C3%A9?q=a%26b", "//evil.example/", "/static/"]
)
def test_plain_http_is_sent_to_https(stack: Stack, port: str, host: str, path: str) -> None:
    """Same host, path and query, on the port of https: also who speaks HTTP to that port itself."""
    answer = ask(stack, path, f"{host}:{stack.variables[port]}", port=port)
    assert answer.status == 301
    assert answer.headers["Location"] == f"https://{host}:{stack.variables['SITE_PORT']}{path}"


def test_browsers_do_not_remember_the_redirect_for_ever(stack: Stack) -> None:
    assert ask(stack, port="SITE_HTTP_PORT").headers["Cache-Control"] == "max-age=3600"


def test_plain_http_does_not_lead_to_the_app(stack: Stack) -> None:
    answer = ask(stack, "/admin/login/", port="SITE_HTTP_PORT", method="POST", body="username=x")
    assert answer.status == 301
    entry = stack.log_entry("nginx", answer.headers["X-Request-ID"])
    assert entry["upstream_status"] == ""


@pytest.mark.parametrize("host", ["10.0.0.5", HOSTS[0]])
def test_a_balancer_may_ask_without_tls(stack: Stack, host: str) -> None:
    answer = ask(stack, "/healthz", host, port="SITE_HTTP_PORT")
    assert (answer.status, answer.body) == (200, "ok\n")


def test_a_host_that_is_not_ours_is_sent_nowhere(stack: Stack) -> None:
    answer = ask(stack, "/", "evil.example", port="SITE_HTTP_PORT")
    assert answer.status == 421
    assert "Location" not in answer.headers
    absolute = ask(stack, "http://evil.example/", HOSTS[0], port="SITE_HTTP_PORT")
    assert (absolute.status, absolute.headers["Location"]) == (421, None)


# -- what Django makes of it


def test_log_in_over_https(stack: Stack, client: ssl.SSLContext) -> None:
    """A form with Origin on a port of its own; all cookies are for https alone."""
    create_user(stack, "tls")
    host = f"{HOSTS[1]}:{stack.variables['SITE_PORT']}"
    page = ask(stack, "/admin/login/", host, context=client)
    [token] = page.headers.get_all("Set-Cookie") or []
    assert "; Secure" in token
    token = token.partition(";")[0]
    answer = ask(
        stack,
        "/admin/login/",
        host,
        context=client,
        method="POST",
        body=f"username=tls&password={PASSWORD.replace(' ', '+')}&csrfmiddlewaretoken={token[10:]}",
        headers={
            "Cookie": token,
            "Origin": f"https://{host}",
            "Referer": f"https://{host}/admin/login/",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert answer.status == 302, answer.body
    cookies = answer.headers.get_all("Set-Cookie") or []
    assert sorted(cookie.split("=")[0] for cookie in cookies) == ["csrftoken", "sessionid"]
    assert all("; Secure" in cookie for cookie in cookies)


def test_log_in_with_a_browser(plain_settings: Stack, browser: Browser) -> None:
    """Over HTTP/2, from the plain address to the admin, and the cookie that says so is secure."""
    create_user(plain_settings, "browser")

    def log_in(page: Page) -> bool:
        try:
            page.goto(f"http://localhost:{plain_settings.variables['SITE_HTTP_PORT']}/admin/")
            page.get_by_label("Username").fill("browser")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
        except (AssertionError, Error) as error:
            # Another worker made a Docker network, and Chromium lets go of what it was doing.
            if "ERR_NETWORK_CHANGED" not in f"{error} {page.content()}":
                raise
            return False
        assert page.url == f"https://localhost:{plain_settings.variables['SITE_PORT']}/admin/"
        cookies = {cookie["name"]: cookie["secure"] for cookie in page.context.cookies()}
        assert cookies == {"csrftoken": True, "sessionid": True}
        return True

    for _ in range(5):
        page = browser.new_page(ignore_https_errors=True)
        try:
            if log_in(page):
                break
        finally:
            page.close()
    else:
        pytest.fail("the network changed all the time")
    entries = [line for line in plain_settings.logs("nginx").splitlines() if '"POST"' in line]
    entry = json.loads(entries[-1])
    assert (entry["protocol"], entry["status"]) == ("HTTP/2.0", 302)


def test_headers_do_not_talk_it_out_of_https(stack: Stack, client: ssl.SSLContext) -> None:
    lies = {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-SSL": "off",
        "X-Forwarded-Host": "evil.example",
    }
    answer = ask(stack, context=client, headers=lies)
    assert "<dt>scheme</dt><dd>https</dd>" in answer.body


def test_hsts_is_sent_when_asked_for(stack: Stack, client: ssl.SSLContext) -> None:
    assert ask(stack, context=client).headers.get_all("Strict-Transport-Security") == [
        "max-age=1234567"
    ]


def test_hsts_is_not_sent_unasked(plain_settings: Stack) -> None:
    answer = ask(plain_settings, host="localhost", context=trusting())
    assert answer.status == 200
    assert "Strict-Transport-Security" not in answer.headers


def test_check_deploy_has_nothing_to_say(stack: Stack) -> None:
    said = stack.manage("check", "--deploy", "--fail-level", "WARNING")
    assert "no issues" in said


# -- a self-signed certificate


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_self_signed_for_every_spelling_of_localhost(plain_settings: Stack, name: str) -> None:
    """Also for an address, for which a browser sends no name, so that every name gets this far."""
    certificate = shown(plain_settings, name)
    assert names(certificate) == ["localhost", "127.0.0.1", "::1"]
    assert certificate.issuer == certificate.subject
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    assert 360 < days <= 365
    host = f"[{name}]" if ":" in name else name
    assert ask(plain_settings, host=host, context=trusting()).status == 200
    assert ask(plain_settings, host="evil.example", context=trusting()).status == 421


def test_who_trusts_it_can_verify_it(plain_settings: Stack) -> None:
    pem = shown(plain_settings, "localhost").public_bytes(Encoding.PEM).decode()
    context = ssl.create_default_context(cadata=pem)
    assert ask(plain_settings, host="localhost", context=context).status == 200


def test_the_key_is_for_nginx_alone(plain_settings: Stack) -> None:
    for service in ("nginx", "renewal"):
        seen = plain_settings.run(service, "stat", "-c", "%u:%g %a", "/srv/certificates", FILE)
        assert seen == "10002:10100 700\n10002:10100 600\n"
    assert plain_settings.exec("app", "ls", "/srv/certificates").code != 0
    assert plain_settings.exec("nginx", "touch", FILE).err.endswith("Read-only file system\n")


def test_no_image_has_a_key(plain_settings: Stack) -> None:
    for name in ("app", "nginx", "certificate"):
        said = subprocess.run(
            ["docker", "run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "bash",
             f"{plain_settings.project}-{name}", "-c",
             "grep --recursive --files-with-matches --binary-files=text --extended-regexp"
             " '^-----BEGIN ([A-Z]+ )?PRIVATE KEY' /etc /srv /run /root /home /var /certificate /app; :"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert said.stdout == ""


def test_it_is_made_once(plain_settings: Stack) -> None:
    before = shown(plain_settings, "localhost")
    plain_settings.down()
    plain_settings.up("--no-build")
    assert shown(plain_settings, "localhost") == before


def test_another_name_gets_another_one(plain_settings: Stack) -> None:
    before = shown(plain_settings, "localhost")
    prepare = ("run", "--rm", "--no-deps", "--no-TTY")
    address = "https://192.0.2.7,https://new.example:8443,https://[2001:db8::7]"
    plain_settings.compose(*prepare, "--env", f"SITE_URL={address}", "certificate")
    wait_for_another(plain_settings, before)
    assert names(shown(plain_settings, "localhost")) == ["192.0.2.7", "new.example", "2001:db8::7"]
    before = shown(plain_settings, "localhost")
    plain_settings.compose(*prepare, "certificate")
    wait_for_another(plain_settings, before)
    assert names(shown(plain_settings, "localhost"))[0] == "localhost"


def test_it_is_renewed_before_it_ends_and_nobody_notices(plain_settings: Stack) -> None:
    """A year's certificate with a hundred days left becomes one with a year, under load."""
    script = f"""
        label=$(head --lines=1 {FILE}); cd /tmp
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -quiet -subj /CN=old \
            -not_before "$(date --utc --date='-265 days' +%Y%m%d%H%M%SZ)" \
            -not_after "$(date --utc --date='+100 days' +%Y%m%d%H%M%SZ)" \
            -addext subjectAltName=DNS:localhost -keyout key -out certificate 2>/dev/null
        (umask 077; {{ echo "$label"; cat certificate key; }} >{FILE}.new); mv {FILE}.new {FILE}; rm key certificate
    """
    before = shown(plain_settings, "localhost")
    plain_settings.run("renewal", "bash", "-ec", script)
    wait_for_another(plain_settings, before)
    ending = shown(plain_settings, "localhost")
    assert ending.subject.rfc4514_string() == "CN=old"
    with Visitors(plain_settings, "localhost") as crowd:
        time.sleep(1)
        plain_settings.compose("kill", "--signal", "HUP", "renewal")
        wait_for_another(plain_settings, ending)
        time.sleep(1)
    assert crowd.failures == []
    assert crowd.answers > 100
    assert (shown(plain_settings, "localhost").not_valid_after_utc - datetime.now(UTC)).days > 360


@pytest.mark.expect_log(r"\[emerg\] .*cannot load certificate")
def test_nginx_goes_on_with_the_old_one_when_the_new_one_is_damaged(plain_settings: Stack) -> None:
    before = shown(plain_settings, "localhost")
    since = time.time()
    keep = f"cp --preserve {FILE} /tmp/kept && echo damaged >{FILE}.new && mv {FILE}.new {FILE}"
    plain_settings.run("renewal", "bash", "-ec", keep)

    def said() -> bool:
        return "goes on with the old one" in plain_settings.logs("nginx", since)

    plain_settings.wait("nginx says so", said, 20)
    assert shown(plain_settings, "localhost") == before
    plain_settings.run(
        "renewal", "bash", "-ec", f"cp --preserve /tmp/kept {FILE}.new && mv {FILE}.new {FILE}"
    )


# -- a certificate of one's own, and what can be wrong with it


def prepare(stack: Stack, mounts: Path, **variables: str) -> Output:
    """Run the certificate job alone, with the files of a directory as its secrets."""
    given = {
        "SITE_URL": f"https://{HOSTS[0]}:8443,https://{HOSTS[1]}",
        "SITE_TLS_CERTIFICATE": "tls/certificate.pem",
        "SITE_TLS_KEY": "tls/key.pem",
        **variables,
    }
    command = ["docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    command += ["--label", f"{PROJECT_LABEL}={stack.project}", "--tmpfs", "/tmp:mode=1777"]
    command += ["--tmpfs", "/srv/certificates:mode=700,uid=10002,gid=10100"]
    for secret, name in (("tls_certificate", "certificate.pem"), ("tls_key", "key.pem")):
        command += ["--volume", f"{mounts / name}:/run/secrets/{secret}:ro"]
    for name, value in given.items():
        command += ["--env", f"{name}={value}"]
    process = subprocess.run(
        [*command, f"{stack.project}-certificate", "prepare"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return Output(process.returncode, process.stdout, process.stderr)


def test_a_good_one_is_taken(stack: Stack, authority: trustme.CA, tmp_path: Path) -> None:
    write(tmp_path, authority.issue_cert(*HOSTS))
    output = prepare(stack, tmp_path)
    assert (output.code, output.err) == (0, "")
    assert output.out.startswith("certificate: nginx has a certificate that is your own until ")


def test_one_for_any_name_of_a_domain_is_taken(
    stack: Stack, authority: trustme.CA, tmp_path: Path
) -> None:
    write(tmp_path, authority.issue_cert("*.site.example", "192.0.2.1"))
    address = "https://www.site.example,https://192.0.2.1:8443"
    assert prepare(stack, tmp_path, SITE_URL=address).code == 0


@pytest.mark.parametrize(
    ("case", "variables", "sentence"),
    [
        (
            "another key",
            {},
            "SITE_TLS_KEY is wrong: the key in tls/key.pem does not belong to the first certificate"
            " in tls/certificate.pem, which must be the site's.",
        ),
        (
            "chain in the wrong order",
            {},
            "SITE_TLS_KEY is wrong: the key in tls/key.pem does not belong to the first certificate"
            " in tls/certificate.pem, which must be the site's.",
        ),
        (
            "another host",
            {},
            "SITE_TLS_CERTIFICATE is wrong: the certificate in tls/certificate.pem is not for"
            f" {HOSTS[1]}, which is in SITE_URL.",
        ),
        (
            "ended",
            {},
            "SITE_TLS_CERTIFICATE is wrong: the certificate in tls/certificate.pem ended on"
            " Jan  2 00:00:00 2024 GMT.",
        ),
        (
            "no certificate",
            {},
            "SITE_TLS_CERTIFICATE is wrong: there is no certificate in PEM form in tls/certificate.pem.",
        ),
        (
            "no key",
            {},
            "SITE_TLS_KEY is wrong: there is no key in PEM form without a password in tls/key.pem.",
        ),
        (
            "key with a password",
            {},
            "SITE_TLS_KEY is wrong: there is no key in PEM form without a password in tls/key.pem.",
        ),
        (
            "key that may not be read",
            {},
            "SITE_TLS_KEY is wrong: nginx's user may not read tls/key.pem; make it the owner:"
            " chown 10002 tls/key.pem",
        ),
        ("directory", {}, "SITE_TLS_KEY is wrong: tls/key.pem is not a file."),
        (
            "good",
            {"SITE_TLS_KEY": ""},
            "SITE_TLS_CERTIFICATE and SITE_TLS_KEY belong together: set both, or neither.",
        ),
        (
            "good",
            {"SITE_TLS_CERTIFICATE": ""},
            "SITE_TLS_CERTIFICATE and SITE_TLS_KEY belong together: set both, or neither.",
        ),
        (
            "good",
            {"SITE_URL": "http://localhost:8000"},
            "SITE_URL is wrong: it is http://localhost:8000, but with compose/tls.yaml the site is"
            " at https://…",
        ),
    ],
)
def test_a_bad_one_is_refused_with_one_sentence(
    stack: Stack,
    authority: trustme.CA,
    tmp_path: Path,
    case: str,
    variables: dict[str, str],
    sentence: str,
) -> None:
    ended = datetime(2024, 1, 2, tzinfo=UTC)
    issuer = authority.create_child_ca()
    certificate = issuer.issue_cert(
        *(["site.example"] if case == "another host" else HOSTS),
        not_before=ended - timedelta(days=9) if case == "ended" else None,
        not_after=ended if case == "ended" else None,
    )
    write(tmp_path, certificate)
    chain, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    match case:
        case "another key":
            key.write_bytes(issuer.issue_cert(*HOSTS).private_key_pem.bytes())
        case "chain in the wrong order":
            blobs = [blob.bytes() for blob in certificate.cert_chain_pems]
            chain.write_bytes(b"".join(reversed(blobs)))
        case "no certificate":
            chain.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n")
        case "no key":
            key.write_bytes(chain.read_bytes())
        case "key with a password":
            secret = load_pem_private_key(key.read_bytes(), None)
            encryption = BestAvailableEncryption(b"secret")
            key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        case "key that may not be read":
            key.chmod(0o600)  # the owner is whoever runs the suite
        case "directory":
            key.unlink()
            key.mkdir()
    output = prepare(stack, tmp_path, **variables)
    assert (output.code, output.out, output.err) == (1, "", f"certificate: {sentence}\n")


def test_a_bad_one_does_not_reach_nginx(
    stack: Stack, authority: trustme.CA, client: ssl.SSLContext, tmp_path: Path
) -> None:
    """The start fails with the sentence; a site that is served goes on with what it has."""
    write(tmp_path, authority.issue_cert(*HOSTS))
    other = write(tmp_path, authority.issue_cert(*HOSTS)) | {
        "SITE_TLS_CERTIFICATE": stack.variables["SITE_TLS_CERTIFICATE"]
    }
    changed = Stack(stack.directory, stack.project, {**stack.variables, **other})
    process = changed.compose("run", "--rm", "--no-deps", "--no-TTY", "certificate", check=False)
    assert process.returncode == 1
    assert "does not belong to the first certificate" in process.stderr
    assert ask(stack, context=client).status == 200


def test_the_key_on_the_volume_is_the_one_that_was_given(stack: Stack) -> None:
    key = Path(stack.variables["SITE_TLS_KEY"]).read_text()
    assert key in stack.run("nginx", "cat", FILE)


# -- what the containers may do


@pytest.mark.parametrize("service", ["certificate", "nginx", "renewal"])
def test_each_container_may_do_as_little_as_it_can_live_with(stack: Stack, service: str) -> None:
    attributes = stack.container(service).attrs
    host = attributes["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert 0 < host["PidsLimit"] <= 128
    assert 0 < host["Memory"] <= 2**28
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
    assert attributes["Config"]["User"] == "10002:10100"
    assert (host["NetworkMode"] == "none") == (service != "nginx")
    writable = {mount["Destination"] for mount in attributes["Mounts"] if mount["RW"]}
    assert writable == {"/var/cache/nginx"} if service == "nginx" else {"/srv/certificates"}


def test_both_ports_are_published_on_loopback_alone(stack: Stack) -> None:
    assert stack.container("nginx").attrs["HostConfig"]["PortBindings"] == {
        "8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": stack.variables["SITE_PORT"]}],
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": stack.variables["SITE_HTTP_PORT"]}],
    }


def test_the_health_check_sees_a_port_on_which_nobody_speaks_tls(stack: Stack) -> None:
    check = stack.container("nginx").attrs["Config"]["Healthcheck"]["Test"][1:]
    assert stack.run("nginx", *check).splitlines()[1].startswith("8443: HTTP/1.1 400 ")
    wrong = [part.replace("8443 400", "8080 400") for part in check]
    assert stack.exec("nginx", *wrong).code == 1
    nobody = [part.replace("8443 400", "8444 400") for part in check]
    assert stack.exec("nginx", *nobody).code == 1


# -- the doctor


def test_the_doctor_names_a_certificate_that_was_refused(
    stack: Stack, authority: trustme.CA
) -> None:
    """While the site goes on with the one it has, and when it was not started at all."""
    place = stack.variables["SITE_TLS_CERTIFICATE"]
    paths = [Path(stack.variables[f"SITE_TLS_{name}"]) for name in ("CERTIFICATE", "KEY")]
    good = {path: path.read_bytes() for path in paths}
    up = ("up", "--detach", "--no-build", "nginx")
    said = f"SITE_TLS_CERTIFICATE is wrong: the certificate in {place} is not for"
    try:
        write(Path(place).parent, authority.issue_cert("other.example"))
        assert stack.compose(*up, check=False).returncode == 1
        [found] = [item for item in walk(stack) if item.cause == "certificate-job-failed"]
        assert found.verdict is Verdict.WARNING
        assert said in found.evidence[0]
        stack.compose("rm", "--stop", "--force", "nginx")
        assert stack.compose(*up, check=False).returncode == 1
        findings = walk(stack)
        found = first_broken(findings)
        assert (found.hop, found.cause) == ("tls", "certificate-job-failed")
        assert said in found.summary
        assert findings[0].verdict is Verdict.BLOCKED
        assert "certificate" in findings[0].summary
    finally:
        for path, content in good.items():
            path.write_bytes(content)
        stack.up("--no-build")
    assert_healthy(stack)
