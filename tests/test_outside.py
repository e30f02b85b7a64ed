"""The doctor from outside: real sites, each with one real fault, judged by nothing but their answers."""

import contextlib
import datetime
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import docker
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from whichhop import blackbox, report
from whichhop.blackbox.view import View
from whichhop.causes import BLACKBOX as OUTSIDE
from whichhop.finding import Finding, Verdict
from whichhop.target import client
from whichhop.target.client import Address, Client

from tests.conftest import ROOT
from tests.support.stack import PROJECT_LABEL, Stack

Routes = Mapping[int, Sequence[Address]]

ZOO = ROOT / "tests/outside"

# What is different in the settings of the shop that listens on each port.
SHOPS: dict[int, dict[str, object]] = {
    9001: {},
    9002: {"DEBUG": True},
    9003: {"SECURE_SSL_REDIRECT": True},
    9004: {"CSRF_COOKIE_SECURE": True},
    9005: {"ALLOWED_HOSTS": ["other.example"]},
    9006: {"ALLOWED_HOSTS": ["*"], "USE_X_FORWARDED_HOST": True},
    9007: {"CSRF_COOKIE_DOMAIN": "example.com", "CSRF_COOKIE_SECURE": True},
    9008: {"STATIC_URL": "http://odd.localhost/static/", "SECURE_REFERRER_POLICY": "no-referrer"},
}
EMPTY, DEVELOPMENT = 9009, 9010  # uWSGI without an application, and Django's own server


# -- certificates


def issued_by(
    issuer: trustme.CA, names: list[str], extension: x509.ExtensionType | None = None
) -> bytes:
    """Return a certificate with its key, with an extension that trustme does not make."""
    ca = x509.load_pem_x509_certificate(issuer.cert_pem.bytes())
    ca_key = serialization.load_pem_private_key(issuer.private_key_pem.bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True
        )
    )
    if extension:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(ca_key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def certificates(authority: trustme.CA) -> dict[str, bytes]:
    """Return a certificate and key for each name below localhost; the good ones are trusted."""
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    stranger = trustme.CA()
    where = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS,
        x509.UniformResourceIdentifier("http://authority.example/intermediate.crt"),
    )
    made = {
        "expired": authority.issue_cert("expired.localhost", not_after=now - day),
        "early": authority.issue_cert("early.localhost", not_before=now + day),
        "soon": authority.issue_cert("soon.localhost", not_after=now + 5 * day),
        "other": authority.issue_cert("another.example"),
        "private": stranger.issue_cert("private.localhost"),
    }
    for name in ("loop", "insecure", "circle", "plain", "domain", "odd", "pathless"):
        made[name] = authority.issue_cert(f"{name}.localhost")
    # The good one comes with the certificate of an authority between, and "chain" without it.
    between = authority.create_child_ca()
    made["good"] = between.issue_cert("good.localhost")
    return {name: item.private_key_and_cert_chain_pem.bytes() for name, item in made.items()} | {
        "self": stranger.private_key_pem.bytes() + stranger.cert_pem.bytes(),
        "chain": issued_by(between, ["chain.localhost"], x509.AuthorityInformationAccess([where])),
        "purpose": issued_by(
            authority,
            ["purpose.localhost"],
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
        ),
    }


# -- the sites


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return files as a tar archive; nobody but root may enter a folder called locked."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            item = tarfile.TarInfo(f"zoo/{name}")
            item.size = len(content)
            item.mode = 0o600 if "locked" in name else 0o644
            tar.addfile(item, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def zoo(run: str, images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routes]:
    """
    Start one nginx with many sites, and one uWSGI for each of ``SHOPS``; return where they are.

    The names are below localhost, the ports those of the web: a client is told where to connect.
    """
    authority = trustme.CA()
    trusted = tmp_path_factory.mktemp("authority") / "root.pem"
    authority.cert_pem.write_to_path(str(trusted))
    pictures = ("media", "locked/media")
    files = {
        **{path.name: path.read_bytes() for path in ZOO.iterdir() if path.is_file()},
        **{f"{name}.localhost.pem": pem for name, pem in certificates(authority).items()},
        **{f"{folder}/picture.png": b"\x89PNG\r\n\x1a\n" for folder in pictures},
        **{f"{folder}static/css/site.css": b"p { margin: 0 }" for folder in ("", "locked/")},
        **{f"{folder}static/js/app.0123456789ab.js": b"" for folder in ("", "locked/")},
    }
    engine = docker.from_env()
    labels = {PROJECT_LABEL: f"{run}-outside-{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"}
    ports = (8080, 8443, 9001, DEVELOPMENT)
    uwsgi = "uwsgi --module 'django.core.wsgi:get_wsgi_application()'"
    shops = [
        f"SETTINGS='{json.dumps(changes)}' {uwsgi} --socket 0.0.0.0:{port} &"
        for port, changes in SHOPS.items()
    ]
    nginx = engine.containers.create(
        f"{images}-nginx-config",
        ["-c", "/zoo/nginx.conf", "-g", "daemon off;"],
        entrypoint=["nginx"],
        ports={f"{port}/tcp": ("127.0.0.1", 0) for port in ports},
        labels=labels,
    )
    containers = [nginx]
    try:
        nginx.put_archive("/", archive(files))
        nginx.start()
        script = f"""cd /zoo
            {" ".join(shops)}
            uwsgi --socket 127.0.0.1:{EMPTY} &
            SETTINGS='{{}}' django-admin runserver --noreload 0.0.0.0:{DEVELOPMENT}"""
        app = engine.containers.create(
            f"{images}-app",
            ["bash", "-c", script],
            environment={"DJANGO_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": "/zoo"},
            network_mode=f"container:{nginx.id}",
            labels=labels,
        )
        containers.append(app)
        app.put_archive("/", archive({name: files[name] for name in files if name.endswith(".py")}))
        app.start()
        nginx.reload()
        published = {}
        for port in ports:
            bindings = nginx.ports[f"{port}/tcp"]
            assert bindings
            published[port] = [("127.0.0.1", int(bindings[0]["HostPort"]))]
        routes = {80: published[8080], 8088: published[8080], 443: published[8443], **published}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(trusted))
            wait_for_shops(routes)
            yield routes
    finally:
        for container in reversed(containers):
            container.remove(force=True, v=True)


def wait_for_shops(routes: Routes) -> None:
    """Wait until every shop answers through nginx, and Django's own server by itself."""
    plain = [f"http://{name}.localhost" for name in ("debug", "secure", "refused", "empty", "any")]
    tls = [f"https://{name}.localhost" for name in ("good", "loop", "domain", "odd")]
    deadline = time.monotonic() + 30
    for url in (*plain, *tls, f"http://127.0.0.1:{DEVELOPMENT}"):
        while True:
            with contextlib.suppress(OSError):
                if Client(url, routes).ask(url).status < 502:
                    break
            assert time.monotonic() < deadline, url
            time.sleep(0.1)


def look(url: str, routes: Routes | None = None) -> list[Finding]:
    """Walk, and see to it that no site is asked too much."""
    view = View(Client(url, routes))
    findings = list(blackbox.walk(view))
    print(url, view.client.requests, *findings, sep="\n")  # for the report of a failed test
    assert view.client.requests <= 20
    return findings


def shown(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.cause: finding for finding in findings if finding.cause}


# -- sites that work


def test_our_own_stack_is_healthy_and_asked_little(stack: Stack) -> None:
    findings = look(stack.url)
    assert [(f.hop, f.verdict, f.cause) for f in findings] == [
        (hop, Verdict.OK, "") for hop in blackbox.HOPS
    ], shown(findings)
    assert report.exit_status(findings) == 0
    assert "the login form can be sent" in findings[-1].summary


@pytest.mark.parametrize(
    "url", ["https://good.localhost", "http://good.localhost", "good.localhost"]
)
def test_a_good_site_with_tls(zoo: Routes, url: str) -> None:
    started = time.monotonic()
    findings = list(blackbox.check(url, routes=zoo))
    assert [(f.hop, f.verdict, f.cause) for f in findings] == [
        (hop, Verdict.OK, "") for hop in blackbox.HOPS
    ], shown(findings)
    assert time.monotonic() - started < 5


def test_one_hop_alone(zoo: Routes) -> None:
    findings = list(blackbox.check("https://good.localhost", ["tls", "django"], zoo))
    assert [finding.hop for finding in findings] == ["tls", "django"]
    view = View(Client("http://plain.localhost", zoo))
    assert [finding.hop for finding in blackbox.walk(view, ["port"])] == ["port"]
    assert view.client.requests == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "http://",
        "https://me:secret@example.com",
        "http://[::1",
        "http://x:99999",
    ],
)
def test_what_is_not_an_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        blackbox.check(url)


# -- sites that do not. Each fault is a server block of nginx.conf, or a shop.

# What is broken there, then what is advised; each address shows nothing else.
SITES = {
    "http://good.localhost:8443": ["http-to-tls-port"],
    "http://plain.localhost:9001": ["not-http"],
    "https://plain.localhost:8080": ["tls-plain-port"],
    "https://unheard-of.localhost": ["tls-handshake-fails"],
    "https://expired.localhost": ["tls-certificate-expired"],
    "https://early.localhost": ["tls-certificate-not-yet-valid"],
    "https://other.localhost": ["tls-certificate-other-name"],
    "https://self.localhost": ["tls-certificate-self-signed"],
    "https://chain.localhost": ["tls-chain-incomplete"],
    "https://private.localhost": ["tls-authority-unknown"],
    "https://purpose.localhost": ["tls-certificate-refused"],
    "https://soon.localhost": ["tls-certificate-ends-soon"],
    "https://plain.localhost": ["no-https-redirect", "cookie-flags"],
    "https://pathless.localhost": ["https-redirect-loses-path", "cookie-flags"],
    "http://welcome.localhost": ["other-server-answers"],
    "http://nobody.localhost": ["app-not-reached"],
    "http://plain.localhost/slow/": ["page-too-slow"],
    "https://circle.localhost": ["nginx-redirect-loop"],
    "http://version.localhost": ["version-shown"],
    "http://absolute.localhost:8088": ["redirect-port-internal"],
    f"http://plain.localhost:{DEVELOPMENT}": [
        "static-not-routed",
        "media-missing",
        "development-server",
    ],
    "http://unrouted.localhost": ["static-not-routed", "media-missing"],
    "http://missing.localhost": ["static-missing", "media-missing"],
    "http://denied.localhost": ["static-permission-denied", "media-permission-denied"],
    "http://failing.localhost": ["static-fails", "media-fails"],
    "http://typeless.localhost": ["static-wrong-type", "media-fails"],
    "http://bare.localhost": ["static-not-cached", "media-sniffed"],
    "http://empty.localhost": ["no-python-application"],
    "http://plain.localhost/boom/": ["page-fails"],
    "http://refused.localhost": ["host-refused"],
    "https://loop.localhost": ["https-redirect-loop"],
    "http://plain.localhost/there/": ["redirect-loop"],
    "http://lost.localhost:8088/away/": ["redirect-port-lost"],
    "http://debug.localhost": ["debug-on"],
    "http://secure.localhost": ["secure-cookie-over-http"],
    "https://domain.localhost": ["csrf-cookie-other-domain"],
    "http://cached.localhost": ["csrf-cookie-missing"],
    "http://lost.localhost:8088": ["host-port-lost"],
    "https://insecure.localhost": ["csrf-origin-refused", "cookie-flags"],
    "https://insecure.localhost/away/": [
        "csrf-origin-refused",
        "redirect-scheme-lost",
        "cookie-flags",
    ],
    "https://odd.localhost": ["static-mixed-content", "csrf-referrer-policy", "cookie-flags"],
    "http://renamed.localhost": ["proxy-host-lost"],
    "http://firewall.localhost": ["csrf-refused"],
    "http://plain.localhost/crash/": ["form-fails"],
    "http://any.localhost": ["scheme-spoofable", "any-host", "host-spoofable"],
}
ADVICE = {
    "tls-certificate-ends-soon",
    "no-https-redirect",
    "https-redirect-loses-path",
    "version-shown",
    "redirect-port-internal",
    "development-server",
    "static-not-cached",
    "media-sniffed",
    "redirect-scheme-lost",
    "cookie-flags",
    "scheme-spoofable",
    "any-host",
    "host-spoofable",
}


@pytest.mark.parametrize("url", SITES)
def test_what_is_wrong_with_a_site_is_named(zoo: Routes, url: str) -> None:
    started = time.monotonic()
    findings = look(url, zoo)
    assert time.monotonic() - started < 10
    found = [finding for finding in findings if finding.verdict is Verdict.BROKEN]
    found += [finding for finding in findings if finding.cause and finding not in found]
    assert [finding.cause for finding in found] == SITES[url]
    for finding in found:
        assert finding.hop == OUTSIDE[finding.cause].hop
        assert (finding.verdict is Verdict.WARNING) == (finding.cause in ADVICE)
        assert finding.fix
        assert "{" not in finding.summary
    assert list(dict.fromkeys(finding.hop for finding in findings)) == list(blackbox.HOPS)


# -- what no nginx does


@contextlib.contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[Routes]:
    """Listen on a port of this machine, and talk to everybody who connects; yield the way there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                talk(connection)

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()

        threading.Thread(target=take, daemon=True).start()
        try:
            yield {80: [listener.getsockname()], 443: [listener.getsockname()]}
        finally:
            listener.shutdown(socket.SHUT_RDWR)


OK, MOVED = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 302 Found\r\n"


def answers(text: str) -> Callable[[socket.socket], None]:
    """Return how to talk so that every request gets the same answer."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text.encode("latin-1"))

    return talk


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def endless(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        connection.sendall(b"<a href='/'>again</a>" * 4096)


def slow_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        connection.sendall(b"<img src=/a.png><link rel=stylesheet href=/a.css>")
        time.sleep(0.1)


def wander(connection: socket.socket) -> None:
    path = connection.recv(65536).decode().partition("/")[2].partition(" ")[0]
    connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: /{path}x\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("talk", "cause"),
    [
        pytest.param(silent, "does-not-answer", id="silent"),
        pytest.param(drip, "does-not-answer", id="drip"),
        pytest.param(endless, "", id="endless"),
        pytest.param(slow_body, "", id="slow body"),
        pytest.param(wander, "redirect-loop", id="wander"),
        pytest.param(answers("SSH-2.0-OpenSSH_10.0\r\n"), "not-http", id="ssh"),
        pytest.param(lambda connection: connection.close(), "not-http", id="hangs up"),
        pytest.param(answers(f"{OK}Content-Length: 9999\r\n\r\nshort"), "", id="short"),
        pytest.param(answers(f"{OK}Transfer-Encoding: chunked\r\n\r\nx\r\n"), "", id="chunks"),
        pytest.param(answers(f"{MOVED}Location: http://[\r\n\r\n"), "", id="brackets"),
        pytest.param(answers(f"{MOVED}Location: //other.example\r\n\r\n"), "", id="elsewhere"),
        pytest.param(answers(f"{OK}\r\n{'<form><input' * 9999}"), "", id="tags"),
        pytest.param(answers("HTTP/1.1 401 Unauthorized\r\n\r\n"), "", id="private"),
        pytest.param(answers("HTTP/1.1 404 -\r\n\r\n<center>nginx</center>"), "", id="nothing"),
    ],
)
def test_a_strange_server_ends_nothing_but_itself(
    monkeypatch: pytest.MonkeyPatch, talk: Callable[[socket.socket], None], cause: str
) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 1)
    monkeypatch.setattr(client, "BUDGET", 3)
    with server(talk) as routes:
        started = time.monotonic()
        findings = look("http://strange.localhost", routes)
        assert time.monotonic() - started < 6  # the budget, and what a busy machine adds
    causes = [finding.cause for finding in findings if finding.verdict is Verdict.BROKEN]
    assert causes[:1] == ([cause] if cause else []), shown(findings)
    assert {finding.hop for finding in findings} == set(blackbox.HOPS)


@pytest.mark.parametrize("talk", [silent, lambda connection: connection.close()])
def test_a_strange_server_in_place_of_tls(
    monkeypatch: pytest.MonkeyPatch, talk: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 1)
    with server(talk) as routes:
        assert "tls-handshake-fails" in named(look("https://strange.localhost", routes))


def test_a_server_cannot_write_to_the_terminal() -> None:
    trick = "\x1b]0;owned\x07\x1b[2J\x9b31m"
    page = f"HTTP/1.1 500 {trick}\r\nServer: nginx/1{trick}\r\nContent-Length: 0\r\n\r\n"
    moved = f"HTTP/1.1 302 Found\r\nLocation: /{trick}\r\n\r\n"
    for text in (page, moved, f"SSH-2.0-{trick}\r\n", f"HTTP/1.1 {trick}\r\n\r\n"):
        with server(answers(text)) as routes:
            findings = look("http://strange.localhost", routes)
        assert any(finding.cause for finding in findings)
        for finding in findings:
            for line in (report.line(finding, False), *finding.evidence, finding.fix):
                assert line.isprintable(), line


def test_a_name_that_leads_nowhere() -> None:
    assert "name-unknown" in named(look(f"http://{'x' * 64}.localhost"))
    found = look("http://doctor.invalid")[0]  # without any name server, even that cannot be told
    assert found.cause == "name-unknown" or "no name server" in found.summary


def test_a_port_where_nothing_listens(free_port: Callable[[], int]) -> None:
    findings = look(f"http://127.0.0.1:{free_port()}")
    assert findings[0].cause == "connection-refused"
    assert {finding.verdict for finding in findings[1:]} == {Verdict.BLOCKED}


def test_a_port_that_swallows_everything() -> None:
    """A full queue drops what comes, as a firewall does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        found = look(f"http://127.0.0.1:{listener.getsockname()[1]}")[0]
    assert found.cause == "connection-times-out"


def test_one_of_two_addresses_is_dead(zoo: Routes, free_port: Callable[[], int]) -> None:
    routes = {80: [("127.0.0.2", free_port()), *zoo[80]]}
    findings = look("http://plain.localhost", routes)
    assert "address-family-dead" in named(findings)
    assert report.exit_status(findings) == 0


def test_a_redirect_to_https_that_is_not_there(zoo: Routes, free_port: Callable[[], int]) -> None:
    routes = {80: zoo[80], 443: [("127.0.0.1", free_port())]}
    assert "https-refused" in named(look("http://closed.localhost", routes))


def test_a_public_name_that_our_stack_does_not_serve(stack: Stack) -> None:
    port = int(stack.variables["SITE_PORT"])
    findings = named(look("http://staging.example.com", {80: [("127.0.0.1", port)]}))
    assert findings["host-not-served"].verdict is Verdict.BROKEN
    assert findings["no-https"].verdict is Verdict.WARNING


def test_every_cause_has_a_test_and_stands_for_a_hop_of_the_walk() -> None:
    source = Path(__file__).read_text()
    assert [cause for cause in OUTSIDE if f'"{cause}"' not in source] == []
    assert {cause.hop for cause in OUTSIDE.values()} == set(blackbox.HOPS)
    assert set(blackbox.FATAL) <= set(OUTSIDE)


# -- the command


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where there is no Docker."""
    return subprocess.run(
        [sys.executable, "-m", "whichhop", *arguments],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command(stack: Stack) -> None:
    process = doctor("--url", stack.url)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("\nWorks: port, tls, nginx, static, media, django (")
    assert "socket, uwsgi, database and chain cannot be judged" in process.stdout
    found = json.loads(doctor("--url", stack.url, "--hop", "nginx", "--format", "json").stdout)
    assert [(item["hop"], item["verdict"]) for item in found] == [("nginx", "ok")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--url", "http://"], "is not an address"), (["--url", "x", "--hop", "socket"], "socket")],
)
def test_the_command_line_that_makes_no_sense(arguments: list[str], said: str) -> None:
    process = doctor(*arguments)
    assert process.returncode == 2
    assert said in process.stderr
    assert "Traceback" not in process.stderr
