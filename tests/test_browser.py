"""What only a real browser finds: forms with Origin, CSP violations, pictures that do not show."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from hops.stack import Stack
from tests.people import PASSWORD, create_user, png

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip('no Chromium here: install Debian\'s package "chromium"')
    arguments = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox does not work for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


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


def test_a_second_visit_asks_for_the_page_only(stack: Stack, page: Page) -> None:
    """The rest has a hash in its name, and came as brotli: bytes that only a browser unpacks here."""
    with page.expect_response(re.compile(r"/static/welcome/landing\.\w{12}\.css$")) as style:
        page.goto(stack.url)
    assert style.value.headers["content-encoding"] == "br"
    start = time.time()
    page.goto(f"{stack.url}/?again")
    expect(page.get_by_role("heading", name="It works.")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "736px"
    stack.log_entry("nginx", "/?again")
    asked = [line for line in stack.logs("nginx", start).splitlines() if "HeadlessChrome" in line]
    assert [line for line in asked if '"uri":"/static/' in line] == []


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
