"""Hop `django`: it sees scheme, host, port and client as they are, whatever the client claims."""

import pytest
import requests

from tests.support.people import PASSWORD, arrived, create_user, submit
from tests.support.stack import Stack


def test_it_sees_the_request_as_the_client_sent_it(stack: Stack) -> None:
    answer = requests.get(stack.url, timeout=5)
    seen = arrived(answer.text)
    assert seen["scheme"] == "http"
    assert seen["host"] == f"localhost:{stack.variables['SITE_PORT']}"
    assert seen["port"] == stack.variables["SITE_PORT"]
    assert seen["request id"] == answer.headers["X-Request-ID"]
    assert seen["client"] == stack.log_entry("nginx", seen["request id"])["client"]


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-SSL": "on"},
        {"X_Forwarded_Proto": "https"},
        {"HTTPS": "on"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Port": "443"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Real-IP": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7;proto=https;host=evil.example"},
        {"X-Request-ID": "mine"},
        {"Remote-User": "admin"},
    ],
    ids=lambda header: next(iter(header)),
)
def test_a_client_cannot_claim_to_be_something_else(stack: Stack, header: dict[str, str]) -> None:
    plain = arrived(requests.get(stack.url, timeout=5).text)
    spoofed = arrived(requests.get(stack.url, headers=header, timeout=5).text)
    assert len(spoofed.pop("request id")) == len(plain.pop("request id")) == 32
    assert spoofed == plain


def test_debug_is_off(stack: Stack) -> None:
    page = requests.get(f"{stack.url}/no-such-page", timeout=5).text
    assert "DEBUG = True" not in page
    assert "urlconf" not in page.lower()


def test_a_form_works_on_a_port_of_its_own(stack: Stack) -> None:
    """Django compares Origin with the host and port that nginx hands down."""
    create_user(stack, "with-origin")
    fields = {"username": "with-origin", "password": PASSWORD}
    answer = submit(stack, requests.Session(), "/admin/login/", fields)
    assert answer.status_code == 302


@pytest.mark.expect_log("Origin checking failed")
def test_a_form_from_another_origin_is_refused(stack: Stack) -> None:
    person = requests.Session()
    person.get(f"{stack.url}/admin/login/", timeout=5)
    answer = person.post(
        f"{stack.url}/admin/login/",
        data={"csrfmiddlewaretoken": person.cookies["csrftoken"]},
        headers={"Origin": "http://localhost"},  # our host on another port is another origin
        timeout=5,
    )
    assert answer.status_code == 403


def test_pages_carry_the_security_headers(stack: Stack) -> None:
    for path in ("/", "/admin/login/"):
        headers = requests.get(stack.url + path, timeout=5).headers
        assert "script-src 'self' 'nonce-" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_cookies_are_not_marked_secure_on_plain_http(stack: Stack) -> None:
    """A browser would not send a secure cookie back, and nobody could log in."""
    cookie = requests.get(f"{stack.url}/admin/login/", timeout=5).headers["Set-Cookie"]
    assert cookie.startswith("csrftoken=")
    assert "Secure" not in cookie
