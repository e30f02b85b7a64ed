"""What only a real browser finds: forms with Origin, CSP violations, pictures that do not show."""

import base64
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect
from playwright.sync_api import Error as PlaywrightError

from tests.support.people import PASSWORD, create_user, png, upload
from tests.support.stack import Stack


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a new visitor; whatever the browser complains about fails the test."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
    yield page
    page.close()
    # "Aborted" is what Chromium calls a click that became a download.
    assert [text for text in complaints if not text.endswith("net::ERR_ABORTED")] == []


def test_the_landing_page_looks_as_it_should(stack: Stack, page: Page, tmp_path: Path) -> None:
    page.goto(stack.url)
    expect(page.get_by_role("heading", name="It works.")).to_be_visible()
    # The style sheet and the picture came, and the policy lets them in.
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "736px"
    assert page.evaluate("document.querySelector('main img').naturalWidth") > 0
    expect(page.locator("#arrived")).to_contain_text(f"localhost:{stack.variables['SITE_PORT']}")


def test_an_error_page_of_nginx_looks_as_it_should(stack: Stack, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{stack.url}/static/nothing-here")
    expect(page.get_by_role("heading", name="There is nothing at this address")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).display") == "grid"
    page.close()


def test_a_second_visit_asks_for_the_page_only(stack: Stack, page: Page) -> None:
    """The rest has a hash in its name, and came as brotli: bytes that only a browser unpacks here."""
    with page.expect_response(re.compile(r"/static/welcome/landing\.\w{12}\.css$")) as style:
        page.goto(stack.url)
    assert style.value.headers["content-encoding"] == "br"
    page.goto(f"{stack.url}/?again")
    expect(page.get_by_role("heading", name="It works.")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "736px"
    stack.log_entry("nginx", "/?again")
    asked = [line for line in stack.logs("nginx").splitlines() if "HeadlessChrome" in line]
    assert [line for line in asked if '/?again","user_agent"' in line] == []  # as the Referer


def test_an_upload_from_login_to_picture(stack: Stack, page: Page) -> None:
    """A POST with Origin on a port of its own, a file named café.txt, and the picture on the page."""
    create_user(stack, "browser")
    page.goto(f"{stack.url}/admin/")
    page.get_by_label("Username").fill("browser")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()

    page.goto(f"{stack.url}/admin/welcome/upload/add/")
    page.get_by_label("Title").fill("From a browser")
    page.locator("#id_image").set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": png()}
    )
    page.locator("#id_attachment").set_input_files(
        {"name": "café.txt", "mimeType": "text/plain", "buffer": "crème brûlée".encode()}
    )
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    page.goto(stack.url)
    upload = page.get_by_role("listitem").filter(has_text="From a browser")
    expect(upload).to_be_visible()
    assert (
        upload.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
        == 1
    )

    page.goto(f"{stack.url}/admin/welcome/upload/")
    page.get_by_role("link", name="From a browser").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("café")).click()
    assert download.value.suggested_filename.startswith("café")
    assert Path(download.value.path()).read_text() == "crème brûlée"


# -- uploads that would like to run


def hostile_files() -> dict[str, tuple[bytes, str]]:
    """Return content for each name, and the type under which a browser would run it."""
    html = "<!doctype html><title>hello</title><script>{}</script>"
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>{}</script></svg>'
    # A picture to Django; to a browser that guesses, a script that begins with a comment.
    gif = "GIF89a/*\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\0;*/=1;{}"
    templates = {
        "page.html": (html, "text/html"),
        "page.xhtml": (html.replace("<!doctype html>", ""), "text/html"),
        "picture.svg": (svg, "image/svg+xml"),
        "shell.php": ("<?php phpinfo() ?>" + html, "text/html"),
        "script.js": ("{}", "text/javascript"),
        "module.mjs": ("{}", "text/javascript"),
        "script.txt": ("{}", "text/javascript"),
        "page.html.txt": (html, "text/html"),
        "paper.pdf": (html, "text/html"),
        "without-an-ending": (html, "text/html"),
        "polyglot.png": (png().decode("latin-1") + html, "text/html"),
        "polyglot.gif": (gif, "text/javascript"),
        "polyglot.jpg": ("\xff\xd8\xff" + html, "text/html"),
    }
    return {
        name: (template.format(f"console.log('RAN {name}')").encode("latin-1"), kind)
        for name, (template, kind) in templates.items()
    }


HOSTILE = hostile_files()

# What a page of the site could be made to do with an address, if somebody got markup into it.
EMBED = """address => {
    for (const [name, properties] of [
        ['script', {src: address}], ['script', {src: address, type: 'module'}],
        ['iframe', {src: address}], ['img', {src: address}],
        ['link', {href: address, rel: 'stylesheet'}],
    ]) document.body.append(Object.assign(document.createElement(name), properties));
    new Worker(address);
    import(address).catch(() => 0);
}"""


def what_ran(page: Page, site: str, addresses: list[str]) -> set[str]:
    """Open each address by itself and in a page of the site; return the names of those that ran."""
    names: set[str] = set()

    def listen(message: ConsoleMessage) -> None:
        if message.text.startswith("RAN "):
            names.add(message.text.removeprefix("RAN "))

    page.on("console", listen)
    for address in addresses:
        with contextlib.suppress(PlaywrightError):  # a download is no page to go to
            page.goto(site + address)
    page.goto(site)
    for address in addresses:
        page.evaluate(EMBED, address)
    page.wait_for_timeout(1000)  # for what should not happen, there is nothing else to wait for
    page.remove_listener("console", listen)
    return names


@pytest.fixture
def public(stack: Stack) -> Iterator[list[str]]:
    """The addresses of hostile files that are served as public uploads, however they got there."""
    place = "/srv/media/public/hostile"
    write = "import base64, sys; open(sys.argv[1], 'wb').write(base64.b64decode(sys.argv[2]))"
    stack.run("app", "mkdir", place)
    for name, (content, _) in HOSTILE.items():
        encoded = base64.b64encode(content).decode()
        stack.run("app", "python3", "-c", write, f"{place}/{name}", encoded)
    yield [f"/media/hostile/{name}" for name in HOSTILE]
    stack.run("app", "rm", "--recursive", place)


def test_no_upload_runs_in_a_browser(
    stack: Stack, admin: requests.Session, browser: Browser, public: list[str]
) -> None:
    """As the person to whom it would be worst: somebody who may do everything."""
    uploaded: list[str] = []
    for name, (content, kind) in HOSTILE.items():
        picture = (name, content, kind) if name in ("polyglot.png", "polyglot.gif") else None
        image = picture or ("a.png", png(), "image/png")
        uploaded += upload(stack, admin, name, image, (name, content, kind)).values()

    with browser.new_context() as context:
        context.add_cookies(
            [{"name": c.name, "value": c.value or "", "url": stack.url} for c in admin.cookies]
        )
        page = context.new_page()

        # Served carelessly, each of them runs: else what follows would prove nothing.
        def serve(route: Route) -> None:
            content, kind = HOSTILE[route.request.url.rsplit("/", 1)[1]]
            route.fulfill(body=content, content_type=kind)

        page.route("**/careless/*", serve)
        assert what_ran(page, stack.url, [f"/careless/{name}" for name in HOSTILE]) == set(HOSTILE)

        assert what_ran(page, stack.url, public) == set()
        assert what_ran(page, stack.url, uploaded) == set()
