"""
The doctor and a stranger's two sites: a shop with HTTPS and PostgreSQL, a blog behind plain HTTP.

nginx reaches both over TCP, the shop by the uwsgi protocol, the blog by HTTP. See test_foreign_unix.py.
"""

import re
from collections.abc import Callable, Iterator

import pytest
import requests
from docker.models.containers import Container
from whichhop.target.discovery import sites

from tests.foreign.examination import assert_healthy, examine, findings, named, parameters, running
from tests.foreign.stranger import BLOG, SHOP, Fault, Stranger, crowd, login
from tests.support.doctor import first_broken

# The certificates are of an authority that nobody knows; the hop tls looks at them.
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

SHOP_CONF = "nginx/shop.conf"
BLOG_CONF = "nginx/blog.conf"
SETTINGS = "../shop/shop/settings.py"
COMPOSE = "compose.yaml"
SILENT = "generated 145 bytes .* 500"
CLOSED = "upstream prematurely closed connection while reading response header"


HOLD = """
import psycopg2, time
held = []
try:
    while True:
        held.append(psycopg2.connect(host="db", user="shop", password="secret", dbname="postgres"))
except psycopg2.OperationalError:
    time.sleep(300)
"""


def hold_all_connections(stranger: Stranger) -> requests.Response:
    stranger.act("backend", f"setsid python3 -c '{HOLD}' >/dev/null 2>&1 & sleep 0.5")
    return stranger.ask()


def sql(*statements: str) -> str:
    """Return a command that runs statements on the shop's database."""
    return f'psql -U shop postgres -c "{"; ".join(statements)}"'


def address_of(container: Container) -> list[int]:
    """Return a container's address on its only network, as something to sort by."""
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return [int(number) for number in network["IPAddress"].split(".")]


FAULTS = {
    "TLS fails": [
        Fault(
            "tls-listener-or-cert-mismatch",
            "tls-plain-port",
            ((SHOP_CONF, "listen 443 ssl;", "listen 443;"),),
            again=("proxy",),
            status=0,
        ),
        Fault(
            "tls-listener-or-cert-mismatch",
            "tls-certificate-missing",
            ((COMPOSE, "      - ./certs:/etc/nginx/certs:ro\n", ""),),
            again=("proxy",),
            status=0,
            log=(
                "proxy",
                r'\[emerg\].* cannot load certificate "/etc/nginx/certs/shop.pem": BIO_new_fi',
            ),
        ),
        Fault(
            "tls-listener-or-cert-mismatch",
            "tls-key-mismatch",
            ((SHOP_CONF, "certs/shop.key", "certs/other.key"),),
            again=("proxy",),
            status=0,
            log=("proxy", r"\[emerg\].*key values mismatch"),
        ),
    ],
    "the browser warns of the certificate": [
        Fault(
            "tls-listener-or-cert-mismatch",
            "tls-certificate-expired",
            ((SHOP_CONF, "certs/shop.pem", "certs/expired.pem"),),
            again=("proxy",),
            status=200,
        ),
        Fault(
            "tls-listener-or-cert-mismatch",
            "tls-certificate-other-name",
            (
                (SHOP_CONF, "certs/shop.pem", "certs/other.pem"),
                (SHOP_CONF, "certs/shop.key", "certs/other.key"),
            ),
            again=("proxy",),
            status=200,
        ),
        Fault(
            "tls-listener-or-cert-mismatch",
            "tls-chain-incomplete",
            ((SHOP_CONF, "certs/shop.pem", "certs/leaf.pem"),),
            again=("proxy",),
            status=200,
        ),
    ],
    "no answer, or 502: the name is unknown": [
        Fault(
            "upstream-name-not-resolved",
            "upstream-name-unknown",
            ((SHOP_CONF, "backend:9000", "app:9000"),),
            again=("proxy",),
            status=0,
            log=(
                "proxy",
                r'\[emerg\].* host not found in upstream "app:9000" in /etc/nginx/conf.d/shop',
            ),
        ),
        Fault(
            "upstream-name-not-resolved",
            "upstream-name-lost",
            (
                (
                    BLOG_CONF,
                    "proxy_pass http://blog:8080",
                    "set $app blog;\n        proxy_pass http://$app:8080",
                ),
            ),
            again=("proxy",),
            log=("proxy", "no resolver defined to resolve blog"),
            site=BLOG,
        ),
        Fault(
            "upstream-name-not-resolved",
            "upstream-name-lost",
            (
                (
                    BLOG_CONF,
                    "proxy_pass http://blog:8080",
                    "resolver 127.0.0.11;\n        set $app wordpress;\n        proxy_pass http://$app:8080",
                ),
            ),
            again=("proxy",),
            log=(
                "proxy",
                r"wordpress could not be resolved \(\d+: (?:Host not found|Server failure|Oper)",
            ),
            site=BLOG,
        ),
    ],
    "502, (111: Connection refused)": [
        Fault(
            "socket-stale-refused",
            "upstream-refused",
            ((SHOP_CONF, "backend:9000", "backend:9001"),),
            again=("proxy",),
            log=(
                "proxy",
                r"connect\(\) failed \(111: Connection refused\) while connecting to upstream",
            ),
        ),
        Fault(
            "socket-stale-refused",
            "upstream-bound-to-localhost",
            ((COMPOSE, "0.0.0.0:9000", "127.0.0.1:9000"),),
            again=("backend", "proxy"),
            log=(
                "proxy",
                r"connect\(\) failed \(111: Connection refused\) while connecting to upstream",
            ),
        ),
    ],
    "502, the host is not there any more": [
        Fault(
            "uwsgi-bad-option",
            "uwsgi-option-refused",
            ((COMPOSE, "--socket 0.0.0.0:9000", "--socket 0.0.0.0:9000 --procesess 4"),),
            again=("backend",),
            status=(502, 504),
            log=("backend", "unrecognized option '--procesess'"),
        ),
    ],
    "502, upstream prematurely closed": [
        Fault(
            "http-sent-to-uwsgi-socket",
            "http-sent-to-uwsgi",
            ((COMPOSE, "--http-socket 0.0.0.0:8080", "--socket 0.0.0.0:8080"),),
            again=("blog", "proxy"),
            log=("blog", r"invalid request block size: 21573 \(max 4096\)...skip"),
            site=BLOG,
        ),
        Fault(
            "http-sent-to-uwsgi-socket",
            "http-sent-to-uwsgi",
            ((COMPOSE, "--http-socket 0.0.0.0:8080", "--socket 0.0.0.0:8080 --buffer-size 32768"),),
            again=("blog", "proxy"),
            log=("proxy", CLOSED + ".*http://"),
            site=BLOG,
        ),
        Fault(
            "uwsgi-sent-to-http-endpoint",
            "uwsgi-sent-to-http",
            ((COMPOSE, "--socket 0.0.0.0:9000", "--http-socket 0.0.0.0:9000"),),
            again=("backend", "proxy"),
            log=("proxy", CLOSED + ".*uwsgi://"),
        ),
        Fault(
            "foreign-bytes-on-uwsgi-socket",
            "fastcgi-sent-to-uwsgi",
            ((SHOP_CONF, "uwsgi_pass shop", "fastcgi_pass shop"),),
            again=("proxy", "backend"),
            log=("backend", "-- unavailable modifier requested: 1 --"),
        ),
    ],
    "504": [
        Fault(
            "uwsgi-sent-to-http-endpoint",
            "uwsgi-sent-to-http",
            (
                (
                    COMPOSE,
                    "--plugin python3 --chdir /app --module shop.wsgi --need-app --master --processes 2",
                    "--plugin python3,http --chdir /app --module shop.wsgi --need-app --master --processes 2",
                ),
                (COMPOSE, "--socket 0.0.0.0:9000", "--http 0.0.0.0:9000"),
                (SHOP_CONF, "uwsgi_read_timeout 10s", "uwsgi_read_timeout 2s"),
            ),
            again=("backend", "proxy"),
            status=504,
            log=(
                "proxy",
                r"upstream timed out \(110: .*\) while reading response header from upstream",
            ),
        ),
        Fault(
            "listen-queue-full-tcp",
            "upstream-queue-full",
            (
                (COMPOSE, "--socket 0.0.0.0:9000", "--socket 0.0.0.0:9000 --listen 2"),
                (SHOP_CONF, "uwsgi_read_timeout 10s", "uwsgi_read_timeout 2s"),
                (SHOP_CONF, "uwsgi_connect_timeout 5s", "uwsgi_connect_timeout 2s"),
            ),
            again=("backend", "proxy"),
            ask=crowd("backend"),
            status=504,
            log=("proxy", r"upstream timed out \(110: .*\) while connecting to upstream"),
        ),
    ],
    "400": [
        Fault(
            "proxy-pass-host-is-upstream-name",
            "proxy-host-lost",
            ((BLOG_CONF, "        proxy_set_header Host $http_host;\n", ""),),
            again=("proxy",),
            status=400,
            log=("blog", "generated 143 bytes .* 400"),
            site=BLOG,
        ),
        Fault(
            "disallowed-host",
            "host-refused",
            ((COMPOSE, "SHOP_HOST: blog.", "SHOP_HOST: www."),),
            again=("blog", "proxy"),
            status=400,
            log=("blog", "generated 143 bytes .* 400"),
            site=BLOG,
        ),
    ],
    "403 for forms": [
        Fault(
            "csrf-origin-failed",
            "csrf-origin-refused",
            (
                (
                    SHOP_CONF,
                    "include uwsgi_params;",
                    "include uwsgi_params;\n        uwsgi_param HTTPS off;",
                ),
            ),
            again=("proxy",),
            ask=login,
            status=403,
        ),
    ],
    "500, and no word in any log": [
        Fault(
            "db-not-ready",
            "database-host-unknown",
            ((COMPOSE, "SHOP_DB_HOST: db", "SHOP_DB_HOST: postgres"),),
            again=("backend", "proxy"),
            status=500,
            log=("backend", SILENT),
        ),
        Fault(
            "db-not-ready",
            "database-refused",
            ((COMPOSE, "SHOP_DB_HOST: db", "SHOP_DB_HOST: localhost"),),
            again=("backend", "proxy"),
            status=500,
            log=("backend", SILENT),
        ),
        Fault(
            "db-not-ready",
            "database-password-refused",
            ((COMPOSE, "SHOP_DB_PASSWORD: secret", "SHOP_DB_PASSWORD: changed-later"),),
            again=("backend", "proxy"),
            status=500,
            log=("db", 'FATAL:  password authentication failed for user "shop"'),
        ),
        Fault(
            "db-too-many-clients",
            "database-too-many-clients",
            ask=hold_all_connections,
            again=("backend",),
            status=500,
            log=("db", "FATAL:  (?:sorry, too many clients already|remaining connection slots)"),
        ),
        Fault(
            "migrations-missing",
            "migrations-missing",
            act=(
                "db",
                sql(
                    "ALTER TABLE shop_product RENAME TO away",
                    "UPDATE django_migrations SET app = '-shop' WHERE app = 'shop'",
                ),
                sql(
                    "ALTER TABLE away RENAME TO shop_product",
                    "UPDATE django_migrations SET app = 'shop' WHERE app = '-shop'",
                ),
            ),
            status=500,
            log=("backend", SILENT),
        ),
    ],
}


@pytest.fixture(scope="module")
def patient(
    run: str, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stranger]:
    with running("tcp", run, free_port, tmp_path_factory) as stranger:
        yield stranger


def test_both_sites_are_found_and_healthy(patient: Stranger) -> None:
    """The server block that only redirects to HTTPS is none of them."""
    found = {site.name: (site.nginx.name, site.app.name) for site in sites(patient.stack)}
    assert found == {SHOP: ("proxy", "backend"), BLOG: ("proxy", "blog")}
    assert_healthy(patient, SHOP)
    assert_healthy(patient, BLOG)


@pytest.mark.parametrize("fault", parameters(FAULTS))
def test_a_fault_is_named_and_gone_when_mended(
    patient: Stranger, fault: Fault, record_property: Callable[[str, object], None]
) -> None:
    examine(patient, fault, record_property)


def test_an_address_that_belongs_to_another_now(
    patient: Stranger, record_property: Callable[[str, object], None]
) -> None:
    """The entry upstream-stale-ip: the same line as for a wrong port, until addresses are compared."""
    # Docker gives the lowest address that is free: whoever starts first gets the other's.
    containers = [patient.stack.container(name) for name in ("backend", "blog")]
    containers.sort(key=address_of, reverse=True)
    for container in containers:
        container.kill()
        container.wait()
    for container in containers:
        container.start()
    line = r"connect\(\) failed \(111: Connection refused\) while connecting to upstream.*uwsgi://"
    try:
        patient.wait_for(
            "502", lambda: bool(patient.status() == 502 and re.search(line, patient.log("proxy")))
        )
        named(patient, "upstream-stale-ip", "upstream-address-stale", record_property)
    finally:
        patient.again("proxy")
    patient.wait_until_healthy()
    assert_healthy(patient, SHOP)


def test_a_fault_of_one_site_is_not_the_others(patient: Stranger) -> None:
    patient.act("blog", "chown root /var/lib/blog/blog.sqlite3")
    try:
        assert first_broken(findings(patient, BLOG)).cause == "database-not-writable"
        assert_healthy(patient, SHOP)
    finally:
        patient.act("blog", "chown 1000 /var/lib/blog/blog.sqlite3")
    assert_healthy(patient, BLOG)


def test_all_is_mended(patient: Stranger) -> None:
    assert_healthy(patient, SHOP)
    assert_healthy(patient, BLOG)
