"""Values that break servers, and what a schema asks for with something wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

STRANGE_STRINGS = (
    *("", " ", "\0", "a\0b", "\ud800", "x" * 256, "x" * 70_000, "é" * 200, "💥", "../../etc/passwd", "%00"),
    *("'; DROP TABLE users; --", "@", "@:", "!", "#", "$", "@a:b:c:99999999", "@alice:test\n", "m.room.create"),
    *("m.room.member", "null", "-1", "1e400", "{}", "[]", "<script>alert(1)</script>", "\u202egnp.exe"),
    *("\r\nSet-Cookie: a=b", "org.example.*", "*" * 200, "a" * 255, "@" + "u" * 260 + ":test"),
)
STRANGE_NUMBERS = (0, -1, 1, 2**31, 2**53 - 1, 2**53, 2**63, -(2**63), 2**64, 10**30, 0.5, -0.0, 1e308)
STRANGE_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    {"": ""},
    [None],
    {"a": {"b": {"c": []}}},
    [1, "a", {}],
)


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def strange_value(random: Random) -> Any:
    """Anything that is JSON."""
    kind = random.randrange(6)
    if kind <= 1:
        return random.choice(STRANGE_STRINGS)
    if kind == 2:
        return random.choice(STRANGE_NUMBERS)
    if kind == 3:
        return deep(random.choice((5, 50, 150)))
    if kind == 4:
        return {random.choice(STRANGE_STRINGS): random.choice(STRANGE_VALUES) for _ in range(3)}
    return random.choice(STRANGE_VALUES)


def value_for(
    schema: Mapping[str, Any], random: Random, known: Mapping[str, Any], name: str = "", depth: int = 0
) -> Any:
    """A value of this schema; here and there a part of it is not."""
    if random.random() < 0.12:
        return strange_value(random)
    if name in known and random.random() < 0.6:
        return known[name]
    if "enum" in schema:
        return random.choice(schema["enum"])
    for combination in ("oneOf", "anyOf", "allOf"):
        if schema.get(combination):
            return value_for(random.choice(schema[combination]), random, known, name, depth)
    kind = schema.get("type", "object")
    kind = random.choice(kind) if isinstance(kind, list) else kind
    if kind == "object":
        return _object_for(schema, random, known, depth)
    if kind == "array":
        items = schema.get("items", {})
        return [value_for(items, random, known, name, depth + 1) for _ in range(random.choice((0, 1, 2, 5)))]
    return {
        "string": lambda: random.choice((schema.get("example", "abc"), random.choice(STRANGE_STRINGS))),
        "integer": lambda: random.choice((1, 10, random.choice(STRANGE_NUMBERS))),
        "number": lambda: random.choice((0.5, random.choice(STRANGE_NUMBERS))),
        "boolean": lambda: random.choice((True, False)),
    }.get(kind, lambda: None)()


def _object_for(schema: Mapping[str, Any], random: Random, known: Mapping[str, Any], depth: int) -> Any:
    if depth > 5:
        return {}
    required = set(schema.get("required", ()))
    value = {
        name: value_for(part, random, known, name, depth + 1)
        for name, part in schema.get("properties", {}).items()
        if random.random() < (0.92 if name in required else 0.45)
    }
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        for _ in range(random.choice((0, 1, 3))):
            key = random.choice((*(str(each) for each in known.values()), *STRANGE_STRINGS))
            value[key] = value_for(extra, random, known, "", depth + 1)
    if random.random() < 0.1:
        value[random.choice(STRANGE_STRINGS)] = strange_value(random)
    return value
