"""Canonical JSON: the one byte form of a JSON value that hashes and signatures are made over.

Source: appendices, "Canonical JSON". `orjson` already writes the shortest UTF-8 form with the escapes of the grammar
and sorts keys by their UTF-8 bytes, which is the order of their code points. What it does not refuse (floats, integers
it knows but the spec does not) is refused here before encoding.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from homeserver.protocol.errors import BadJson, NotJson

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 200
"""Levels of nested objects and arrays. The spec has no limit; orjson writes at most 254, and answers add a few."""

_ORJSON_DEPTH = 254


def encode_canonical(value: Any, *, strict: bool = True) -> bytes:
    """The canonical bytes of a JSON value.

    `strict` (rooms since version 6, and everything that is not an event) raises BadJson for floats and integers
    outside +-(2^53-1). Without it (events of rooms up to version 5) such numbers are written as they are.
    """
    has_odd_numbers = _check(value, strict)
    if has_odd_numbers:
        return _encode_with_odd_numbers(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise BadJson(f"Not encodable as canonical JSON: {error}") from error


def encode_checked(value: Any, *, strict: bool = True) -> bytes:
    """`encode_canonical` for a value made of parts of another that it has just encoded: not looked through again."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) if strict else encode_canonical(value, strict=False)


def check_canonical(value: Any) -> None:
    """Raise BadJson unless the value can be written as (strict) canonical JSON."""
    encode_canonical(value)


def decode_json(data: bytes | str) -> Any:
    """Parse JSON from outside; raises NotJson for what is not JSON in UTF-8, BadJson for too deep nesting.

    Lone surrogates and NaN are not JSON. Of duplicate keys the last one counts. Integers beyond 64 bits come out as
    floats, see `decode_lenient`.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise NotJson(f"The content is not valid JSON: {error}") from error
    _check_depth(value, data)
    return value


def decode_lenient(data: bytes | str) -> Any:
    """Parse JSON that may hold integers of any size, as events of room versions 1 to 5 may."""
    value = decode_json(data)
    if not _has_float(value):
        return value
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except ValueError as error:
        raise NotJson(f"The content is not valid JSON: {error}") from error


def integers_from_floats(value: Any) -> Any:
    """The value with whole floats in range written as integers: `1e10` becomes `10000000000`, `-0.0` becomes `0`.

    For JSON typed by people and clients; never for events of other servers, whose bytes are signed.
    """
    if isinstance(value, float) and value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER:
        return int(value)
    if isinstance(value, dict):
        return {key: integers_from_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [integers_from_floats(item) for item in value]
    return value


def _check(value: Any, strict: bool) -> bool:
    """Walk the value level by level; returns whether it holds numbers that only the slow encoder writes correctly."""
    has_odd_numbers = False
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Any] = []
        for container in level:
            for item in container.values() if type(container) is dict else container:
                kind = type(item)
                if kind is str or kind is bool or item is None:
                    continue
                if kind is dict or kind is list or kind is tuple:
                    deeper.append(item)
                elif kind is not int or not -MAX_INTEGER <= item <= MAX_INTEGER:
                    _check_odd_number(item, strict)
                    has_odd_numbers = True
        if not deeper:
            return has_odd_numbers
        level = deeper
    raise BadJson(f"The JSON is nested deeper than {MAX_DEPTH} levels.")


def _check_odd_number(item: Any, strict: bool) -> None:
    kind = type(item)
    if kind is not int and kind is not float:
        raise BadJson(f"Not a JSON value: {kind.__name__}.")
    if strict and kind is float:
        raise BadJson("Canonical JSON has no floats.")
    if strict:
        raise BadJson("An integer is outside the range of canonical JSON, -(2^53-1) to 2^53-1.")


def _encode_with_odd_numbers(value: Any) -> bytes:
    """The encoding the spec gives as Python code, for numbers orjson cannot write or writes differently."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
        return text.encode("utf-8")
    except (ValueError, TypeError) as error:
        raise BadJson(f"Not encodable as canonical JSON: {error}") from error


def _check_depth(value: Any, data: bytes | str) -> None:
    """Refuse too deep nesting; text with few brackets, which is nearly all text, needs no look at the value."""
    brackets = data.count(b"{") + data.count(b"[") if isinstance(data, bytes) else data.count("{") + data.count("[")
    if brackets <= MAX_DEPTH:
        return
    # orjson's own limit, reached as much earlier as the value is put deeper: looking at millions of small things takes
    # seconds otherwise.
    for _ in range(_ORJSON_DEPTH - MAX_DEPTH):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise BadJson(f"The JSON is nested deeper than {MAX_DEPTH} levels.") from error


def _has_float(value: Any) -> bool:
    """Container by container, each as a whole: a large body of many small things is looked through as well."""
    level: list[Any] = [[value]]
    while level:
        deeper: list[Any] = []
        for container in level:
            items = container.values() if type(container) is dict else container
            kinds = set(map(type, items))
            if float in kinds:
                return True
            if dict in kinds or list in kinds:
                deeper += [item for item in items if type(item) is dict or type(item) is list]
        level = deeper
    return False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
