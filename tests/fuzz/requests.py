"""Whole requests for one operation of the specification."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from tests.fuzz.strangeness import STRANGE_STRINGS, strange_value, value_for
from tests.spec.validator import Operation

STRANGE_BODIES = (
    b"", b"{", b"nul", b"\xff\xfe", b'{"a":"\xff"}', b"[]", b"7", b'"text"', b"null", b'{"a":1,}', b'{"a":NaN}',
    b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b"[" * 5000, b'{"a":' * 2000, b"{}" * 2, b"\xef\xbb\xbf{}", b'{"a":1e999}',
)  # fmt: skip
# Percent-encoded on purpose: what cannot be written otherwise.
STRANGE_SEGMENTS = ("%00", "%FF", "%2F", "%2e%2e", "%", "%zz", "+")


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """One request, ready to send."""

    method: str
    target: str
    body: bytes | None
    headers: Mapping[str, str]


def make_request(operation: Operation, random: Random, known: Mapping[str, Any]) -> HostileRequest:
    """A request that is nearly right, or not at all."""
    path = "/".join(_segment(segment, random, known) for segment in operation.path.split("/"))
    query = _query(operation, random, known)
    body, content_type = _body(operation, random, known)
    headers = {} if content_type is None else {"Content-Type": content_type}
    return HostileRequest(operation.method, path + (f"?{query}" if query else ""), body, headers)


def _segment(segment: str, random: Random, known: Mapping[str, Any]) -> str:
    if not segment.startswith("{"):
        return segment
    name = segment.strip("{}")
    chance = random.random()
    if chance < 0.7 and name in known:
        return quote(str(known[name]), safe="")
    if chance < 0.78:
        return random.choice(STRANGE_SEGMENTS)
    return quote(random.choice(STRANGE_STRINGS)[:600].encode("utf-8", "surrogatepass"), safe="")


def _query(operation: Operation, random: Random, known: Mapping[str, Any]) -> str:
    pairs = []
    for parameter in operation.definition.get("parameters", ()):
        if parameter["in"] != "query" or random.random() > (0.9 if parameter.get("required") else 0.4):
            continue
        name, value = parameter["name"], value_for(parameter.get("schema", {}), random, known, parameter["name"])
        if name == "timeout":  # a long one is answered late, and rightly so
            value = random.choice((0, -1, "x")) if random.random() < 0.3 else 0
        text = value if isinstance(value, str) else json.dumps(value)
        pairs.append((name, text[:2000].encode("utf-8", "surrogatepass")))
    return urlencode(pairs)


def _body(operation: Operation, random: Random, known: Mapping[str, Any]) -> tuple[bytes | None, str | None]:
    content = operation.definition.get("requestBody", {}).get("content", {})
    if operation.method in ("GET", "DELETE") and not content:
        return None, None
    chance = random.random()
    if chance < 0.12:
        return random.choice(STRANGE_BODIES), "application/json"
    if "application/json" not in content:
        return random.choice((b"", b"bytes", b"x" * 1000)), random.choice(("image/png", "", "a/b; c=\xe9", "x" * 300))
    schema = content["application/json"].get("schema", {})
    value = value_for(schema, random, known) if chance < 0.9 else strange_value(random)
    return json.dumps(value).encode(), "application/json"
