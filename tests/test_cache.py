"""Pages that nginx keeps: public ones, for everybody alike, and nobody ever sees another's."""

import re
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

import pytest
import requests

from tests.conftest import started
from tests.support.configurations import change
from tests.support.people import create_user, log_in
from tests.support.raw import exchange
from tests.support.stack import Stack
from tests.support.workers import workers

# What its pages can be asked for: cache_urls.py. (Without the cache: test_settings.py; with HTTPS:
# test_tls.py.)
FILES = "compose.yaml:tests/cache/compose.yaml"
PUBLIC = "public, max-age=600"
STALE = "public, max-age=1, stale-while-revalidate=600"


@pytest.fixture(scope="module")
def shared_stack(make_stack: Callable[..., Stack], pytestconfig: pytest.Config) -> Iterator[Stack]:
    """`stack`, for the tests of this file: with pages that are public, and others."""
    with started(make_stack(COMPOSE_FILE=FILES), pytestconfig) as stack:
        yield stack


def address(cache_control: str | None = PUBLIC, **query: str) -> str:
    """Return the path of a page that nobody has asked for yet."""
    if cache_control:
        query["Cache-Control"] = cache_control
    return f"/pages/{uuid.uuid4().hex}?{urlencode(query)}"


def origin(stack: Stack) -> str:
    return f"http://localhost:{stack.variables['SITE_PORT']}"


def get(stack: Stack, path: str, method: str = "GET", **headers: str) -> requests.Response:
    """
    Ask for a path; an underscore in the name of a header stands for a hyphen.

    What nginx may keep, it has kept when this returns: it logs a request after that.
    """
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = requests.request(
        method, origin(stack) + path, headers=names, timeout=30, allow_redirects=False
    )
    if state(answer) in ("MISS", "EXPIRED"):
        stack.log_entry("nginx", answer.headers["X-Request-ID"])
    return answer


def word(answer: requests.Response) -> str:
    """Return the first line of a page, which is new each time that Django makes it."""
    assert re.match(r"[0-9a-f]{32}\n", answer.text), answer.text
    return answer.text.splitlines()[0]


def state(answer: requests.Response) -> str:
    return answer.headers.get("X-Cache", "")


def requests_to_django(stack: Stack, path: str) -> int:
    """Return how many requests for a path nginx has handed on to the app, as its log says."""
    last = get(stack, "/livez").headers["X-Request-ID"]
    stack.log_entry("nginx", last)  # the lines before it are there as well
    lines = [line for line in stack.logs("nginx").splitlines() if f'"{path}"' in line]
    return sum('"upstream_status":""' not in line for line in lines)


# -- what is kept


def test_a_public_page_is_made_once_and_given_to_all(stack: Stack) -> None:
    path = address()
    answers = [get(stack, path, User_Agent=f"visitor {number}") for number in range(3)]
    assert [state(answer) for answer in answers] == ["MISS", "HIT", "HIT"]
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 3
    entries = [stack.log_entry("nginx", answer.headers["X-Request-ID"]) for answer in answers]
    assert [(entry["cache"], entry["upstream_status"]) for entry in entries] == [
        ("MISS", "200"),
        ("HIT", ""),
        ("HIT", ""),
    ]


@pytest.mark.parametrize(
    "cache_control", ["public,max-age=60", "max-age=60, public", "s-maxage=60, PUBLIC"]
)
def test_every_spelling_of_public_counts(stack: Stack, cache_control: str) -> None:
    path = address(cache_control)
    assert [state(get(stack, path)) for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.parametrize(
    ("kept", "query"),
    [
        (True, {"status": "301", "Location": "/"}),
        (True, {"status": "308", "Location": "/"}),
        (False, {"status": "302", "Location": "/"}),
        (False, {"status": "206"}),
        (False, {"status": "404"}),
        (False, {"status": "403"}),
        (False, {"status": "500"}),
        (False, {"stream": "yes"}),
        (True, {"size": "990000"}),
        (False, {"size": "1000000"}),
        (False, {"Set-Cookie": "a=b"}),
        (False, {"Vary": "Cookie"}),
        (False, {"Vary": "Accept, cookie"}),
        (False, {"Vary": "*"}),
        (False, {"Vary": "Authorization"}),
        (False, {"X-Accel-Expires": "0"}),
        (False, {"X-Accel-Redirect": "/static/welcome/landing.css"}),
        (False, {"cache_control": "public"}),
        (False, {"cache_control": "public, max-age=0"}),
        (False, {"cache_control": "public, max-age=60, s-maxage=0"}),
        (False, {"cache_control": "max-age=60"}),
        (False, {"cache_control": "max-age=60", "X-Accel-Expires": "60"}),
        (False, {"cache_control": "private, max-age=60"}),
        (False, {"cache_control": "private, max-age=60", "X-Accel-Expires": "60"}),
        (False, {"cache_control": "public, no-store, max-age=60", "X-Accel-Expires": "60"}),
        (False, {"cache_control": "public, max-age=60, no-cache"}),
        (False, {"cache_control": 'public, max-age=60, private="Set-Cookie"'}),
        (False, {"cache_control": "republic, max-age=60"}),
        (False, {"cache_control": "", "Expires": "Sun, 01 Jan 2090 00:00:00 GMT"}),
        (False, {"cache_control": "", "X-Accel-Expires": "60"}),
        (False, {"cache_control": "", "say": "REMOTE_ADDR"}),
    ],
    ids=lambda value: urlencode(value) if isinstance(value, dict) else "",
)
@pytest.mark.expect_log(r"500\b|Internal Server Error")
def test_what_is_kept_and_what_is_not(stack: Stack, kept: bool, query: dict[str, str]) -> None:
    path = address(**{"cache_control": PUBLIC, **query})
    for _ in range(3):
        answer = get(stack, path)
    assert (state(answer) == "HIT") == kept
    assert requests_to_django(stack, path) == (1 if kept else 3)
    if not kept:
        assert "HIT" not in state(answer)


def test_head_and_get_do_not_mix(stack: Stack) -> None:
    path = address()
    heads = [get(stack, path, "HEAD") for _ in range(2)]
    assert [state(answer) for answer in heads] == ["MISS", "HIT"]
    page = get(stack, path)
    assert word(page)
    assert state(page) == "MISS"
    assert {len(page.content), *(int(head.headers["Content-Length"]) for head in heads)} == {
        len(page.content)
    }


def test_a_post_is_always_for_django(stack: Stack) -> None:
    path = address()
    get(stack, path)
    answers = [get(stack, path, "POST") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {403}  # of Django, for want of a token
    assert requests_to_django(stack, path) == 3
    assert state(get(stack, path)) == "HIT"


# -- for whom


def test_nobody_sees_the_page_of_another(stack: Stack) -> None:
    """Not even one that is wrongly marked as public: who is logged in sends a cookie."""
    people: dict[str | None, requests.Session] = {None: requests.Session()}
    for user in ("ann", "bob"):
        create_user(stack, user)
        people[user] = log_in(stack, user)

    for order in (("ann", "bob", None), (None, "bob", "ann")):
        # A view that looks at the session gets "Vary: Cookie"; one that reads a cookie itself does not.
        for query in ({"user": "yes"}, {"say": "HTTP_COOKIE"}):
            path = address(**query)
            for name in order + order:
                page = people[name].get(origin(stack) + path, timeout=5)
                if "user" in query:
                    assert f"user={name or 'AnonymousUser'}\n" in page.text
                else:
                    seen = re.findall(r"sessionid=(\w+)", page.text)
                    assert seen == [
                        cookie.value
                        for cookie in people[name].cookies
                        if cookie.name == "sessionid"
                    ]
                assert state(page) != "HIT" or name is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "a=b"},
        {"Authorization": "Basic YW5uOmFubg=="},
        {"Range": "bytes=0-3"},
        {"If_Match": '"x"'},
        {"If_Unmodified_Since": "Sun, 01 Jan 2090 00:00:00 GMT"},
    ],
    ids=str,
)
def test_a_special_request_neither_gets_a_kept_page_nor_leaves_one(
    stack: Stack, headers: dict[str, str]
) -> None:
    path = address(say=",".join(f"HTTP_{name.upper()}" for name in headers))
    before = [get(stack, path, **headers) for _ in range(2)]
    plain = [get(stack, path) for _ in range(2)]
    after = get(stack, path, **headers)
    assert [state(answer) for answer in (*before, *plain, after)] == [
        *["BYPASS"] * 2,
        *["MISS", "HIT"],
        "BYPASS",
    ]
    assert len({word(answer) for answer in (*before, *plain, after)}) == 4
    for name, value in headers.items():  # Django sees all of them
        assert f"HTTP_{name.upper()}={value}" in after.text
        assert f"HTTP_{name.upper()}=None" in plain[1].text
    assert stack.log_entry("nginx", after.headers["X-Request-ID"])["cache"] == "BYPASS"


def test_a_request_with_a_body_is_for_django(stack: Stack) -> None:
    path = address()
    for body in ("who am I?", iter([b"who", b"am I?"])):  # with a length, and in chunks
        answer = requests.get(origin(stack) + path, data=body, timeout=5)
        assert state(answer) == "BYPASS"
    assert state(get(stack, path)) == "MISS"


def test_a_visitor_cannot_make_django_work_again(stack: Stack) -> None:
    path = address()
    word_kept = word(get(stack, path))
    for header in (
        {"Cache_Control": "no-cache"},
        {"Cache_Control": "max-age=0"},
        {"Pragma": "no-cache"},
    ):
        assert word(get(stack, path, **header)) == word_kept


# -- the key: what makes two requests the same


def test_what_is_not_the_same_address_is_not_the_same_page(stack: Stack) -> None:
    path = address(say="HTTP_HOST")
    port = stack.variables["SITE_PORT"]
    pages = {}
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "localhost", "localhost:81", "[::1]"):
        pages[host] = get(stack, path, Host=host)
        assert f"HTTP_HOST={host}\n" in pages[host].text
    for other in (path + "&a=b", path + "&a=c", path.replace("/pages/", "/pages//"), path + "?"):
        pages[other] = get(stack, other)
    assert {state(page) for page in pages.values()} == {"MISS"}
    assert len({word(page) for page in pages.values()}) == len(pages)
    # The other way round: a host in capitals, or in the address itself, is the same host.
    assert word(get(stack, path, Host=f"LOCALHOST:{port}")) == word(pages[f"localhost:{port}"])


def test_an_absolute_address_poisons_nothing(stack: Stack) -> None:
    """The host is that of the address, for the key as for Django, whatever Host says beside it."""
    path = address(say="HTTP_HOST")
    request = f"GET http://127.0.0.1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    [(poison, body)] = exchange(stack, request.encode())
    assert poison.status == 200
    assert "HTTP_HOST=127.0.0.1\n" in body
    page = get(stack, path, Host="localhost")
    assert state(page) == "MISS"
    assert "HTTP_HOST=localhost\n" in page.text


# Headers from which frameworks make addresses; Django must not see them, since the key has none.
FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Port": "444",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Scheme": "https",
    "X-Scheme": "https",
    "X-Host": "evil.example",
    "X-Original-Host": "evil.example",
    "X-Original-Url": "/evil",
    "X-Rewrite-Url": "/evil",
    "X-Script-Name": "/evil",
    "X-Real-Ip": "6.6.6.6",
    "Forwarded": "host=evil.example",
    "Proxy": "evil.example",
    "Remote-User": "admin",
}


def test_a_header_that_is_not_in_the_key_does_not_get_to_django(stack: Stack) -> None:
    names = ["HTTP_" + name.upper().replace("-", "_") for name in FORGED]
    path = address(say=",".join([*names, "SCRIPT_NAME", "wsgi.url_scheme"]))
    page = requests.get(origin(stack) + path, headers=FORGED, timeout=5)
    assert state(page) == "MISS"
    assert page.text.split()[1:] == [
        *(f"{name}=None" for name in names),
        "SCRIPT_NAME=",
        "wsgi.url_scheme=http",
    ]


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [("Accept-Language", "en", "de"), ("Accept-Encoding", "gzip", "identity"), ("X-Any", "1", "2")],
)
def test_vary_is_honoured(stack: Stack, header: str, first: str, second: str) -> None:
    say = "HTTP_" + header.upper().replace("-", "_")
    path = address(Vary=header, say=say)

    values = (first, second, first, second)
    pages = [get(stack, path, **{header: value}) for value in values]
    assert [state(page) for page in pages] == ["MISS", "MISS", "HIT", "HIT"]
    for page, value in zip(pages, values, strict=True):
        assert f"{say}={value}\n" in page.text


def test_a_kept_page_is_compressed_for_those_who_want_that(stack: Stack) -> None:
    path = address(size="20000")
    packed = get(stack, path, Accept_Encoding="gzip")
    plain = get(stack, path, Accept_Encoding="identity")
    again = get(stack, path, Accept_Encoding="gzip")
    assert [state(page) for page in (packed, plain, again)] == ["MISS", "HIT", "HIT"]
    encodings = [page.headers.get("Content-Encoding") for page in (packed, plain, again)]
    assert encodings == ["gzip", None, "gzip"]
    assert packed.text == plain.text == again.text
    assert packed.headers["Vary"] == "Accept-Encoding"


# -- how old it is


def test_a_browser_learns_how_old_a_kept_page_is(stack: Stack) -> None:
    path = address()
    made = get(stack, path).headers["Date"]
    time.sleep(1.1)
    kept = get(stack, path)
    assert state(kept) == "HIT"
    assert kept.headers["Date"] == made
    other = get(stack, address()).headers["Date"]
    assert parsedate_to_datetime(other) > parsedate_to_datetime(made)
    assert "," not in other.partition(", ")[2], "two dates"


@pytest.mark.parametrize(
    ("name", "value", "header"),
    [
        ("ETag", '"one"', "If_None_Match"),
        ("Last-Modified", "Sun, 01 Jan 2023 00:00:00 GMT", "If_Modified_Since"),
    ],
)
def test_a_browser_that_has_the_page_gets_a_304(
    stack: Stack, name: str, value: str, header: str
) -> None:
    path = address(**{name: value})
    # Nobody has asked yet: the answer is right, and its page is kept.
    first = get(stack, path, **{header: value})
    assert (first.status_code, first.content, state(first)) == (304, b"", "MISS")
    second = get(stack, path, **{header: value})
    assert (second.status_code, state(second)) == (304, "HIT")
    assert second.headers["Cache-Control"] == PUBLIC
    assert word(get(stack, path))
    # Django itself may say it, and that is not kept.
    path = address(status="304", say=f"HTTP_{header.upper()}")
    assert get(stack, path, **{header: value}).status_code == 304
    assert state(get(stack, path)) == ""
    # On pages that are not public, too, Django sees what the browser has.
    page = get(stack, address(None, say=f"HTTP_{header.upper()}"), **{header: value})
    assert f"HTTP_{header.upper()}={value}\n" in page.text


# -- stale while revalidating


def together(stack: Stack, path: str, number: int = 10) -> list[requests.Response]:
    with ThreadPoolExecutor(number) as pool:
        url = origin(stack) + path
        return list(pool.map(lambda _: requests.get(url, timeout=30), range(number)))


def test_a_stale_page_is_given_while_one_request_fetches_the_new_one(stack: Stack) -> None:
    path = address(STALE, seconds="0.5", say="HTTP_X_REQUEST_ID", count=uuid.uuid4().hex)
    old = word(get(stack, path))
    time.sleep(2.1)  # max-age, in whole seconds
    answers = together(stack, path)
    states = [state(answer) for answer in answers]
    assert {word(answer) for answer in answers} == {old}
    assert sorted(states) == ["STALE"] + ["UPDATING"] * 9
    # The visitor who set it off did not wait for it: all answers are older than the new page.
    [stale] = [answer for answer in answers if state(answer) == "STALE"]

    def renewed() -> requests.Response | None:
        answer = get(stack, path)
        return answer if word(answer) != old else None

    new = stack.wait("the new page", renewed, 5).text.split()
    # Django has made two pages, not eleven; in its log, the second has the id of the visitor who set it off.
    assert (new[2], new[1]) == ("call=2", f"HTTP_X_REQUEST_ID={stale.headers['X-Request-ID']}")


def test_a_page_is_not_given_beyond_what_django_allows(stack: Stack) -> None:
    paths = [address(f"public, max-age=1{more}") for more in ("", ", stale-while-revalidate=1")]
    old = [word(get(stack, path)) for path in paths]
    time.sleep(3.1)
    answers = [get(stack, path) for path in paths]
    assert {state(answer) for answer in answers} == {"EXPIRED"}
    assert not {*old} & {word(answer) for answer in answers}


@pytest.mark.expect_log(r"500\b|Internal Server Error")
def test_an_error_does_not_take_the_place_of_a_page_nor_hide_behind_it(stack: Stack) -> None:
    name = uuid.uuid4().hex
    path = address("public, max-age=1, stale-while-revalidate=2", broken=name)
    old = get(stack, path)
    assert state(old) == "MISS"
    stack.run("app", "touch", f"/tmp/{name}")

    seen = []

    def is_broken() -> bool:
        answer = get(stack, path)
        seen.append((state(answer), answer.status_code, answer.text == old.text))
        return answer.status_code == 500

    stack.wait("what Django says now", is_broken, 20)
    assert ("STALE", 200, True) in seen
    assert seen[-1] == ("", 500, False)
    stack.run("app", "rm", f"/tmp/{name}")
    assert state(get(stack, path)) == "EXPIRED"


# -- many requests, and a start


def test_10_at_once_are_one_for_django_where_the_site_says_so(stack: Stack) -> None:
    """With the location that cache.conf shows; without it, all of the first ten are Django's."""
    path = address(seconds="0.5")
    answers = together(stack, path)
    assert {state(answer) for answer in answers} == {"MISS"}
    assert state(get(stack, path)) == "HIT"

    shown = re.search(
        r"^# (location /news/ .*)$", stack.run("nginx", "cat", "/etc/nginx/cache.conf"), re.M
    )
    assert shown
    location = shown[1].replace("/news/", "/pages/news/")
    change(stack, f"cd current; cp server_name.conf saved; echo '{location}' >>server_name.conf")
    try:
        reload(stack)
        path = address(seconds="0.5").replace("/pages/", "/pages/news/")
        answers = together(stack, path)
        assert len({word(answer) for answer in answers}) == 1
        assert requests_to_django(stack, path) == 1
    finally:
        change(stack, "cd current; mv saved server_name.conf")
        reload(stack)


def reload(stack: Stack) -> None:
    """Let nginx read its configuration again, and wait until no worker has the old one."""
    before = workers(stack, "nginx")
    stack.run("nginx", "nginx", "-s", "reload")

    def replaced() -> bool:
        return not before & workers(stack, "nginx")

    stack.wait("new workers", replaced, 60)


def test_a_start_of_nginx_empties_it(stack: Stack) -> None:
    path = address()
    assert [state(get(stack, path)) for _ in range(2)] == ["MISS", "HIT"]
    stack.compose("restart", "nginx")
    stack.up("--no-build")
    assert [state(get(stack, path)) for _ in range(2)] == ["MISS", "HIT"]


def test_a_flood_of_addresses_fills_no_disk(stack: Stack) -> None:
    path = address(size="990000")
    with ThreadPoolExecutor(4) as pool:
        url = origin(stack) + path
        answers = pool.map(lambda number: requests.get(f"{url}&n={number}", timeout=30), range(170))
        assert {answer.status_code for answer in answers} == {200}

    def within_bounds() -> bool:
        used = stack.run("nginx", "du", "--summarize", "--bytes", "/var/cache/nginx/pages").split()[
            0
        ]
        return int(used) < 130 * 2**20

    stack.wait("no more than max_size is used", within_bounds, 40)
