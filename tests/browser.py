"""A browser without scripts: keeps cookies, reads forms, sends them, and follows redirects as far as our server goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp
from yarl import URL

MAX_REDIRECTS = 10


@dataclass(slots=True)
class Form:
    """One form of a page, with what is filled in already."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """Where the browser is. `left_for`: an address of somebody else, to which it was sent."""

    status: int
    url: str
    text: str
    headers: Any
    forms: list[Form]
    left_for: str | None = None

    def form(self, button: str) -> Form:
        """The form with this button. Fails where there is none."""
        for each in self.forms:
            if button in each.buttons:
                return each
        raise AssertionError(f"no button {button!r} on {self.url}: {self.text}")

    @property
    def alert(self) -> str:
        found = re.search(r'<p role="alert">(.*?)</p>', self.text)
        return unescape(found[1]) if found else ""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._button: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""))
            self.forms.append(self._open)
        elif tag == "input" and self._open is not None and given.get("type") != "checkbox":
            self._open.fields[given.get("name", "")] = given.get("value", "")
        elif tag == "button" and self._open is not None:
            self._button = []
            if "name" in given:
                self._open.fields.setdefault(given["name"], given.get("value", ""))

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._open is not None and self._button is not None:
            self._open.buttons.append("".join(self._button).strip())
            self._button = None
        elif tag == "form":
            self._open = None


@dataclass(slots=True)
class Browser:
    """Of one person. `base_url`: where our server really is; it calls itself `public_baseurl`."""

    session: aiohttp.ClientSession
    base_url: str
    public_baseurl: str = "http://localhost:8008"
    cookies: dict[str, str] = field(default_factory=dict)

    async def open(self, url: str, **query: str) -> Page:
        """Go there."""
        return await self._request("GET", url + (f"?{urlencode(query)}" if query else ""))

    async def send(self, page: Page, button: str, **filled: str) -> Page:
        """Fill in the form with this button, and press it."""
        form = page.form(button)
        return await self.post(urljoin(page.url, form.action) if form.action else page.url, {**form.fields, **filled})

    async def post(self, url: str, fields: dict[str, str]) -> Page:
        """Send a form that no page showed."""
        return await self._request("POST", url, urlencode(fields).encode())

    async def _request(self, method: str, url: str, data: bytes | None = None) -> Page:
        for _ in range(MAX_REDIRECTS):
            url = url.removeprefix(self.public_baseurl).removeprefix(self.base_url)
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            if data is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            target = URL(self.base_url + url, encoded=True)
            # Every browser has its own cookies, whatever the session keeps.
            self.session.cookie_jar.clear()
            async with self.session.request(
                method, target, data=data, headers=headers, allow_redirects=False
            ) as response:
                text = await response.text()
                self._keep(response.headers.getall("Set-Cookie", []))
            location = response.headers.get("Location")
            if location is None:
                parser = _Forms()
                parser.feed(text)
                return Page(response.status, url, text, response.headers, parser.forms)
            if not self._is_ours(location):
                return Page(response.status, url, text, response.headers, [], location)
            method, url, data = "GET", urljoin(url, location), None
        raise AssertionError("redirected in circles")

    def _is_ours(self, location: str) -> bool:
        return not urlsplit(location).scheme or location.startswith((self.public_baseurl + "/", self.base_url + "/"))

    def _keep(self, set_cookies: list[str]) -> None:
        for each in set_cookies:
            name, _, value = each.partition(";")[0].partition("=")
            if "Max-Age=0" in each:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
