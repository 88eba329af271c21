"""Whether an address is one that the whole Internet can reach."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit


async def addresses_of(url: str) -> list[str]:
    """Where the host of this URL is; empty where its name cannot be found."""
    host = urlsplit(url).hostname
    if host is None:
        return []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def is_public(address: str) -> bool:
    """False also for names, such as those under which browsers hide their addresses."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return False


def any_public(addresses: Sequence[str]) -> bool:
    return any(map(is_public, addresses))
