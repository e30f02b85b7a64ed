"""Parse an HTML page: its style sheets, scripts, images and forms."""

from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urldefrag, urljoin

MOST = 50  # of each kind; more are not needed


class Form(NamedTuple):
    """A form that is sent by POST: its target, and its fields with their initial values."""

    action: str
    fields: tuple[tuple[str, str], ...]
    is_login: bool  # one password and Django's token: sent empty, no password is checked


class Page(HTMLParser):
    """A page, parsed as far as possible; URLs are made absolute."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.url = url
        self.title = ""
        self.styles: list[str] = []
        self.scripts: list[str] = []
        self.images: list[str] = []
        self.forms: list[Form] = []
        self._form: list[dict[str, str]] | None = None
        self._action = ""
        self._in_title = False
        self.feed(text)

    def _add(self, links: list[str], link: str) -> None:
        try:
            whole = urldefrag(urljoin(self.url, link)).url
        except ValueError:  # not a valid URL
            return
        if link and len(links) < MOST and whole not in links:
            links.append(whole)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "link" and "stylesheet" in values.get("rel", "").lower().split():
            self._add(self.styles, values.get("href", ""))
        elif tag == "script":
            self._add(self.scripts, values.get("src", ""))
        elif tag == "img":
            self._add(self.images, values.get("src", ""))
        elif tag == "title":
            self._in_title = not self.title
        elif tag == "form" and values.get("method", "").lower() == "post":
            self._form, self._action = [], values.get("action", "")
        elif tag == "input" and self._form is not None:
            self._form.append(values)

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"
        if tag == "form" and self._form is not None:
            self._end_form(self._form)
            self._form = None

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def _end_form(self, inputs: list[dict[str, str]]) -> None:
        kinds = [item.get("type", "text").lower() for item in inputs]
        sent = [
            (item.get("name", ""), item.get("value", "") if kind == "hidden" else "")
            for item, kind in zip(inputs, kinds, strict=True)
            if item.get("name")
            and kind not in ("submit", "button", "checkbox", "radio", "file", "image")
        ]
        actions: list[str] = []
        self._add(actions, self._action or self.url)
        has_token = "csrfmiddlewaretoken" in dict(sent)
        is_login = has_token and kinds.count("password") == 1
        self.forms += [Form(action, tuple(sent), is_login) for action in actions]
