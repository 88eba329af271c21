"""Texts to values: "15m" to milliseconds, "100M" to bytes, "yes" to True. Every refusal says what would be accepted."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_SIZE_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_MEASURE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
# Appendices, "Server Name": a DNS name, an IPv4 address or an IPv6 address in brackets, perhaps with a port.
_SERVER_NAME = re.compile(r"(?:\[[0-9a-fA-F:.]{2,45}\]|[0-9a-zA-Z.-]{1,255})(?::\d{1,5})?")


def parse_text(text: str, kind: Any, checks: Mapping[str, Any], folder: Path) -> Any:
    """The value of a text for a key of that type. Raises ValueError with the second half of a sentence."""
    unit = checks.get("unit")
    if unit == "log_target":
        return text if text in ("stdout", "stderr") else str(folder / text)
    if unit is not None:
        return _within(_UNITS[unit](text), checks)
    if choices := checks.get("choices"):
        return one_of(text, choices)
    if get_origin(kind) is Literal:
        return one_of(text, get_args(kind))
    if kind is Path:
        return folder / text
    return _within(_PLAIN[kind](text), checks) if kind in _PLAIN else text


def one_of(text: str, choices: Iterable[str]) -> str:
    """The text if it is one of the choices."""
    known = list(choices)
    if text in known:
        return text
    raise ValueError(f"must be one of {', '.join(known)}{nearest(text, known)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean x?`, or nothing when no known word is like this one."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""


def _boolean(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise ValueError("must be true or false")
    return _WORDS[text.lower()]


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None


def _duration(text: str) -> int:
    return _measure(text, _DURATION_MS, "must be a duration such as 500ms, 30s, 15m, 24h or 7d")


def _size(text: str) -> int:
    normal = text.upper().removesuffix("IB").removesuffix("B") if text[-1:].isalpha() else text
    return _measure(normal, _SIZE_BYTES, "must be a size such as 500K, 100M or 2G")


def _measure(text: str, units: Mapping[str, int], advice: str) -> int:
    match = _MEASURE.fullmatch(text.strip())
    if match is None or match[2] not in units:
        if text == "0":
            return 0
        raise ValueError(advice)
    return int(Decimal(match[1]) * units[match[2]])


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("must be a network such as 10.0.0.0/8 or fc00::/7") from None
    return text


def _server_name(text: str) -> str:
    if _SERVER_NAME.fullmatch(text) is None:
        raise ValueError("must be a domain or an address, perhaps with a port, such as example.org")
    return text


def _url_of(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        # Not quoted in the message: the address of a database has a password in it.
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f"must be an address that begins with {' or '.join(f'{each}://' for each in schemes)}")
        return text

    return parse


def _within(value: Any, checks: Mapping[str, Any]) -> Any:
    minimum, maximum = checks.get("minimum"), checks.get("maximum")
    if minimum is not None and value < minimum:
        raise ValueError(f"must be at least {minimum}")
    if maximum is not None and value > maximum:
        raise ValueError(f"must be at most {maximum}")
    return value


_PLAIN: Mapping[Any, Callable[[str], Any]] = {bool: _boolean, int: _integer}
_UNITS: Mapping[str, Callable[[str], Any]] = {
    "duration": _duration,
    "size": _size,
    "network": _network,
    "server_name": _server_name,
    "http": _url_of("http", "https"),
    "postgresql": _url_of("postgresql", "postgres"),
    "redis": _url_of("redis", "rediss"),
}
