"""Messages with every field filled at random: what the grammar of protobuf allows, and no client would write."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from livekit.protocol import rtc

KINDS = tuple(field.name for field in rtc.SignalRequest.DESCRIPTOR.oneofs_by_name["message"].fields)
STRINGS = (
    "",
    "0",
    "a",
    "TR_",
    "PA_nobody",
    "\0",
    "\r\na=mid:0\r\n",
    "é" * 300,
    "\U0001f4a5",
    "x" * 5000,
    "offer",
    "../x",
)
NUMBERS = (0, 1, 2, 3, 7, 255, 65_535, 2**31 - 1)
COUNTS = (0, 1, 2, 3, 40, 300)
DEEPEST = 4


def request(kind: str, random: Random, words: Sequence[str]) -> Any:
    """A SignalRequest of this kind. `words` are names that mean something: sids, cids, mids, descriptions."""
    message = rtc.SignalRequest()
    field = message.DESCRIPTOR.fields_by_name[kind]
    if field.message_type is None:
        setattr(message, kind, random.choice(NUMBERS))
    else:
        getattr(message, kind).SetInParent()
        fill(getattr(message, kind), random, words)
    return message


def fill(message: Any, random: Random, words: Sequence[str], depth: int = 0) -> None:
    for field in message.DESCRIPTOR.fields:
        if random.random() < 0.25 or (field.containing_oneof and random.random() < 0.5):
            continue
        if field.is_repeated:
            _fill_list(message, field, random, words, depth)
        elif field.message_type is not None:
            if depth < DEEPEST:
                getattr(message, field.name).SetInParent()
                fill(getattr(message, field.name), random, words, depth + 1)
        else:
            setattr(message, field.name, _value(field, random, words))


def _fill_list(message: Any, field: FieldDescriptor, random: Random, words: Sequence[str], depth: int) -> None:
    values, count = getattr(message, field.name), random.choice(COUNTS)
    if field.message_type is None:
        values.extend(_value(field, random, words) for _ in range(count))
    elif field.message_type.GetOptions().map_entry:
        _fill_map(values, field, random, words)
    elif depth < DEEPEST:
        for _ in range(count if depth < 2 else min(count, 3)):
            fill(values.add(), random, words, depth + 2)


def _fill_map(values: Any, field: FieldDescriptor, random: Random, words: Sequence[str]) -> None:
    key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    if value.message_type is None:
        for _ in range(random.choice((0, 1, 5, 100))):
            values[_value(key, random, words)] = _value(value, random, words)


def _value(field: FieldDescriptor, random: Random, words: Sequence[str]) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice(words if words and random.random() < 0.5 else STRINGS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.choice((0, 1, 20, 3000)))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice((0, 1, 2, 3, 4, 99, 2**31 - 1))
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return random.choice((0.0, -1.5, float("inf"), float("nan")))
    return random.choice(NUMBERS)


def mutated_text(random: Random, text: str) -> str:
    """A description with lines dropped, doubled, swapped, cut, or of strange numbers."""
    lines = text.split("\r\n")
    for _ in range(random.randint(1, 5)):
        at = random.randrange(len(lines))
        change = random.randrange(6)
        if change == 0:
            del lines[at]
        elif change == 1:
            lines.insert(at, lines[random.randrange(len(lines))])
        elif change == 2:
            lines[at] = lines[at][: random.randint(0, len(lines[at]))]
        elif change == 3:
            lines[at] = lines[at].replace(
                random.choice("0123456789"), random.choice(("99999999999999999999", "-1", "٣", ""))
            )
        elif change == 4:
            lines[at] += random.choice((" 96", ":x", "x" * 5000, "\0", "é"))
        else:
            lines[at] = lines[at].replace(
                *random.sample(("sendonly", "recvonly", "inactive", "sendrecv", "audio", "video"), 2)
            )
        lines = lines or [""]
    return "\r\n".join(lines)
