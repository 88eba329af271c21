"""The query string with typed getters. A value of the wrong type or out of bounds raises InvalidParam naming it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar, overload
from urllib.parse import unquote_to_bytes

from homeserver.http.limits import MAX_INTEGER
from homeserver.protocol import errors

Default = TypeVar("Default")

MAX_PARAMETERS = 1000


class Query:
    """Reads the raw query string when first asked; most requests have none."""

    __slots__ = ("_values", "raw")

    def __init__(self, raw: str = "") -> None:
        self.raw = raw
        self._values: dict[str, list[str]] | None = None

    def _parsed(self) -> dict[str, list[str]]:
        if self._values is None:
            self._values = _parse(self.raw) if self.raw else {}
        return self._values

    def __contains__(self, name: str) -> bool:
        return name in self._parsed()

    def names(self) -> Collection[str]:
        """The names of all parameters sent."""
        return self._parsed().keys()

    @overload
    def string(self, name: str) -> str | None: ...
    @overload
    def string(self, name: str, default: Default) -> str | Default: ...
    def string(self, name: str, default: object = None) -> object:
        """The first value of `name`, or `default` where it is missing."""
        values = self._parsed().get(name)
        return values[0] if values else default

    def required(self, name: str) -> str:
        """The first value of `name`. Raises MissingParam."""
        values = self._parsed().get(name)
        if not values:
            raise errors.MissingParam(f"Missing query parameter '{name}'")
        return values[0]

    def strings(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated."""
        return self._parsed().get(name, [])

    @overload
    def integer(self, name: str, *, minimum: int = ..., maximum: int = ...) -> int | None: ...
    @overload
    def integer(self, name: str, default: Default, *, minimum: int = ..., maximum: int = ...) -> int | Default: ...
    def integer(
        self, name: str, default: object = None, *, minimum: int = -MAX_INTEGER, maximum: int = MAX_INTEGER
    ) -> object:
        """A decimal integer. Below `minimum` is an error; above `maximum` is cut down to it: limits are only wishes."""
        text = self.string(name)
        if text is None:
            return default
        digits = text[1:] if text[:1] in ("-", "+") else text
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
            raise errors.InvalidParam(f"Query parameter '{name}' must be an integer")
        value = int(text)
        if value < minimum:
            raise errors.InvalidParam(f"Query parameter '{name}' must be at least {minimum}")
        return min(value, maximum)

    def boolean(self, name: str, default: bool = False) -> bool:
        """`true` or `false`."""
        text = self.string(name)
        if text is None:
            return default
        if text == "true":
            return True
        if text == "false":
            return False
        raise errors.InvalidParam(f"Query parameter '{name}' must be 'true' or 'false'")

    @overload
    def one_of(self, name: str, choices: Collection[str]) -> str | None: ...
    @overload
    def one_of(self, name: str, choices: Collection[str], default: Default) -> str | Default: ...
    def one_of(self, name: str, choices: Collection[str], default: object = None) -> object:
        """One of a few words."""
        text = self.string(name)
        if text is None:
            return default
        if text not in choices:
            raise errors.InvalidParam(f"Query parameter '{name}' must be one of {', '.join(sorted(choices))}")
        return text


def _parse(raw: str) -> dict[str, list[str]]:
    pairs = raw.split("&")
    if len(pairs) > MAX_PARAMETERS:
        raise errors.InvalidParam("Too many query parameters")
    values: dict[str, list[str]] = {}
    for pair in pairs:
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(_decode(name), []).append(_decode(value))
    return values


def _decode(text: str) -> str:
    """Percent-decoding of form data, where a plus is a space."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" in text:
        try:
            text = unquote_to_bytes(text).decode()
        except UnicodeError:
            raise errors.InvalidParam("The query string is not UTF-8") from None
    if not text.isascii():
        _check_encodable(text)
    if "\0" in text:
        raise errors.InvalidParam("The query string contains a NUL character")
    return text


def _check_encodable(text: str) -> None:
    """Raw bytes in a request line arrive as lone surrogates; no storage would take them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise errors.InvalidParam("The query string is not UTF-8") from None
