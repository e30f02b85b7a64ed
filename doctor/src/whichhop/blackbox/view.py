"""
The site as seen from outside: everything that the hops check, requested once.

Nothing here draws conclusions, except who wrote an answer: nginx, Django and uWSGI each have their own pages.
"""

import re
import secrets
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urljoin

from whichhop.finding import Finding, blocked, unknown
from whichhop.target.client import Answer, Client, Origin
from whichhop.target.page import Form, Page

MOST = 3  # files of a page that are requested
REDIRECTS = 5  # how many are followed
DEBUG = re.compile(r"<code>DEBUG\s*=\s*True</code>|<h2>Traceback|Using the URLconf defined in")


class Link(NamedTuple):
    """A style sheet or script that a page links."""

    url: str
    page: str
    is_style: bool


def author(answer: Answer) -> str:
    """Return who wrote an error page or a redirect: "nginx", "django", "uwsgi", or "" if unknown."""
    text = answer.text
    if re.search(r"<center>(nginx|openresty)\b[^<]*</center>", text):
        return "nginx"
    if answer.body == b"Internal Server Error":
        return "uwsgi"
    if answer.status in (301, 302) and not answer.body and answer.type == "text/html":
        return "django"
    if DEBUG.search(text) or re.search(
        r"<h1>(Not Found</h1><p>The requested resource was not found on this server"
        r"|Server Error \(500\)</h1>|Bad Request \(400\)</h1>|403 Forbidden</h1><p></p>"
        r"|Forbidden <span>\(403\)</span>)",
        text,
    ):
        return "django"
    return ""


class Visit:
    """The redirects to the front page: each answer, and how they ended."""

    def __init__(self, client: Client) -> None:
        self.answers: list[Answer] = []
        self.error: OSError | None = None
        self.loop = False
        self.elsewhere = ""  # the other host or port to which the site redirects
        url = client.url
        while not self.loop and len(self.answers) <= REDIRECTS:
            try:
                answer = client.ask(url)
            except OSError as error:
                self.error = error
                return
            self.answers.append(answer)
            url = answer.location
            if not url:
                return
            here, there = answer.origin, Origin.of(url)
            another_port = here.scheme == there.scheme and here.port != there.port
            if here.host != there.host or another_port:
                self.elsewhere = url
                return
            self.loop = url in [item.url for item in self.answers]
        self.loop = True

    @property
    def page(self) -> Answer | None:
        """The front page itself, whatever its status; ``None`` if the redirects do not end at one."""
        ends = self.answers and not (self.error or self.loop or self.elsewhere)
        return self.answers[-1] if ends else None


class View:
    """A site that is examined from outside."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.invented = f"doctor-{secrets.token_hex(6)}"  # a name that does not exist anywhere

    @cached_property
    def visit(self) -> Visit:
        """What a visitor gets who enters the URL."""
        return Visit(self.client)

    @cached_property
    def front(self) -> Answer:
        """The front page; raise ``OSError`` if there is none."""
        if self.visit.page is None:
            raise self.visit.error or OSError("the site has no front page")
        return self.visit.page

    @cached_property
    def nowhere(self) -> Answer:
        """The answer to a request for a path that no site has."""
        return self.client.ask(urljoin(self.front.url, f"/{self.invented}"))

    @cached_property
    def login(self) -> tuple[Answer, Form] | None:
        """A page with a login form, and that form."""
        base = self.front.url
        for url in (base, urljoin(base, "admin/login/"), urljoin(base, "accounts/login/")):
            try:
                page = self.front if url == base else self.client.ask(url)
            except OSError:
                continue
            for form in Page(page.url, page.text).forms:
                if page.status == 200 and form.is_login and self.is_ours(form.action):
                    return page, form
        return None

    @cached_property
    def pages(self) -> list[Page]:
        """The pages whose parts can be checked: the front page, or else the one with the login form."""
        answers = [self.front] if self.front.status == 200 else []
        if not any(self._links(answer) for answer in answers) and self.login:
            answers.append(self.login[0])
        return [Page(answer.url, answer.text) for answer in answers]

    @cached_property
    def links(self) -> list[Link]:
        """The files on the site's own host that its page links, at least one of each kind."""
        styles = [Link(url, page.url, True) for page in self.pages for url in page.styles]
        scripts = [Link(url, page.url, False) for page in self.pages for url in page.scripts]
        own = [[item for item in found if self.is_ours(item.url)] for found in (styles, scripts)]
        return (own[0][: MOST - 1] + own[1])[:MOST]

    def _links(self, answer: Answer) -> bool:
        page = Page(answer.url, answer.text)
        return any(self.is_ours(url) for url in (*page.styles, *page.scripts))

    def is_ours(self, url: str) -> bool:
        """Return whether a URL is on the site's own host."""
        try:
            return Origin.of(url).host == self.client.origin.host
        except ValueError:
            return False

    def without_pages(self, hop: str) -> Iterator[Finding]:
        """Yield, if there is no page, that a hop cannot be checked for that reason."""
        page = self.visit.page
        if self.visit.elsewhere and Origin.of(self.visit.elsewhere).host != self.client.origin.host:
            yield unknown(hop, f"the site leads to {self.visit.elsewhere}: ask there")
        elif not page or page.status == 400 or page.status >= 500:
            yield blocked(hop, "django")
        elif not self.pages:
            yield unknown(hop, f"there is no page to judge it by: {page}")
