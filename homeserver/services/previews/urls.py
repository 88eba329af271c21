"""Addresses of pages. What an address leads to is checked when a connection is made (federation/addresses.py)."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import unquote

from yarl import URL

from homeserver.protocol import errors

MAX_URL_CHARACTERS: Final = 2048
MAX_FILE_NAME_CHARACTERS: Final = 200
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
# WHATWG URL, "ends in a number": other ways to write an IPv4 address, such as 2130706433 and 0x7f.1.
_LIKE_A_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
LOWEST_FREE_PORT: Final = 1024
# WHATWG Fetch, "port blocking": where something else than HTTP listens that could take a request for its own language.
BAD_PORTS: Final = frozenset(
    {
        *(1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697),
        10080,
    }
)


def page_url(text: str, base: URL | None = None) -> URL:
    """The address of a page, without its fragment; relative to `base`. Raises InvalidParam."""
    text = text.strip(" \t\r\n\f")
    if len(text) > MAX_URL_CHARACTERS or not text.isprintable():
        raise errors.InvalidParam("This is no address of a page: it is too long, or has characters that no address has")
    try:
        url = URL(text) if base is None else base.join(URL(text))
        _check(url)
        url = url.with_fragment(None)
        if url.raw_path == "/":
            url = url.with_path("/", keep_query=True)  # with and without the slash it is one page
    except ValueError:
        raise errors.InvalidParam("This is no address of a page") from None
    if len(str(url)) > MAX_URL_CHARACTERS:
        raise errors.InvalidParam("This address is too long")
    return url


def page_url_or_none(text: str, base: URL | None = None) -> URL | None:
    """The same for addresses that pages name: others are left out."""
    try:
        return page_url(text, base)
    except errors.InvalidParam:
        return None


def file_name_of(url: URL) -> str:
    """The last part of the path, for files that say nothing of themselves; the host where there is none."""
    name = "".join(each for each in unquote(url.raw_name) if each.isprintable())
    return name[:MAX_FILE_NAME_CHARACTERS] or url.host or ""


def _check(url: URL) -> None:
    if url.scheme not in ("http", "https"):
        raise errors.InvalidParam("Only pages of http and https are looked at")
    if url.user is not None or url.password is not None:
        raise errors.InvalidParam("Addresses with a user name or a password are not looked at")
    if not _is_host(url.raw_host or ""):
        raise errors.InvalidParam("This address has no host that could be asked")
    port = url.port or 0
    if port not in (80, 443) and (port < LOWEST_FREE_PORT or port in BAD_PORTS):
        raise errors.InvalidParam("Pages at this port are not looked at")


def _is_host(host: str) -> bool:
    if ":" in host:
        return _is_address(host) and "%" not in host
    if len(host) > 253 or not _HOST.fullmatch(host):
        return False
    last = host.rstrip(".").rpartition(".")[2]
    return _is_address(host) or not _LIKE_A_NUMBER.fullmatch(last)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
