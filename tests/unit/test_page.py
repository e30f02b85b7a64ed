"""The doctor reads a page as far as it can be understood."""

import pytest
from whichhop.target.page import MOST, Form, Page

URL = "https://site.example/shop/"
TOKEN = '<input type="hidden" name="csrfmiddlewaretoken" value="abc">'


def read(text: str) -> Page:
    return Page(URL, text)


def test_addresses_are_made_whole_and_named_once() -> None:
    page = read(
        '<link rel="Stylesheet" href="/a.css"><link rel=stylesheet href="/a.css#x">'
        '<link rel=icon href=i.ico><script src="a.js"></script><script>inline()</script>'
        '<img src="//cdn.example/a.png"><img src=../b.png>'
    )
    assert page.styles == ["https://site.example/a.css"]
    assert page.scripts == ["https://site.example/shop/a.js"]
    assert page.images == ["https://cdn.example/a.png", "https://site.example/b.png"]


def test_what_is_no_address_is_left_out() -> None:
    assert read('<img src="http://[bad/a.png"><img src=""><img>').images == []


def test_nobody_looks_at_more_than_there_should_be() -> None:
    assert len(read("".join(f"<img src=/{n}.png>" for n in range(MOST + 9))).images) == MOST


def test_the_title_is_the_first_one() -> None:
    page = read("<title>My &amp; site</title><svg><title>Icon</title></svg>")
    assert page.title == "My & site"


def test_a_login_form_is_told_by_its_password_and_its_token() -> None:
    page = read(
        f'<form method="POST" action="/login/">{TOKEN}<input name=username><input type=password'
        ' name=password><input type=submit name=go value=Go><input type=hidden name=next value="/x">'
    )
    assert page.forms == []  # it was never ended
    page.feed("</form>")
    fields = ("csrfmiddlewaretoken", "abc"), ("username", ""), ("password", ""), ("next", "/x")
    assert page.forms == [Form("https://site.example/login/", fields, True)]


@pytest.mark.parametrize(
    "form",
    [
        f"<form method=post>{TOKEN}<input name=q></form>",
        "<form method=post><input type=password name=p></form>",
        # Somebody registers, or changes a password: to send it empty is not harmless.
        f"<form method=post>{TOKEN}<input type=password name=p><input type=password name=q></form>",
    ],
    ids=["no password", "no token", "two passwords"],
)
def test_another_form_is_no_login(form: str) -> None:
    (found,) = read(form).forms
    assert not found.is_login
    assert found.action == URL


def test_a_form_that_is_sent_by_get_is_none_of_ours() -> None:
    assert read("<form><input name=q></form><form method=get></form>").forms == []


@pytest.mark.parametrize(
    "text", ["", "<", "<form method=post", "\0<p \xff=<!--", "<![CDATA[", "&#"]
)
def test_nonsense_is_survived(text: str) -> None:
    assert read(text).styles == []
