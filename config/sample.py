"""The commented sample: every key with its sentence and its default, made from the dataclasses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from config.fields import Key, keys_of
from config.settings import ListenerSettings, Settings

_WIDTH = 110
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_SIZES = (("G", 1024**3), ("M", 1024**2), ("K", 1024), ("", 1))
# What an administrator has to decide stands in the sample without a comment sign.
_DECISIONS = {"server_name": "example.org", "public_baseurl": "https://matrix.example.org"}

HEAD = """\
# VoiceChat's configuration. Give it with `./voicechat up --config FILE`.
#
# Every key is here with its default: take the "#" away from a line to change it. Paths are relative to this file.
# Durations: 500ms, 30s, 15m, 24h, 7d. Sizes: 500K, 100M, 2G.
# Every key can also come from the environment: VOICECHAT_REGISTRATION__ENABLED=true is registration.enabled.
# This file is made by `./voicechat config sample`.
"""


def sample() -> str:
    """The text of `config/sample.yaml`."""
    return HEAD + "\n".join(_section(Settings, "")) + "\n"


def _section(section: type, indent: str) -> Iterator[str]:
    for key in keys_of(section).values():
        if key.is_section and not key.optional:
            yield from ([""] if not indent else [])
            yield f"{indent}# {key.doc}"
            yield f"{indent}{key.name}:"
            yield from _section(key.type, indent + "  ")
        elif key.item_type is ListenerSettings:
            yield from ("", f"{indent}# {key.doc}", f"{indent}{key.name}:", *_first_item(key, indent + "  "))
        else:
            yield from ([""] if not indent else [])
            yield f"{indent}# {key.doc}{_choices(key)}"
            yield f"{indent}{_assignment(key, indent)}"


def _first_item(key: Key, indent: str) -> Iterator[str]:
    """One item of a list of sections; its first line carries the dash."""
    lines = list(_section(key.item_type, indent + "  "))
    first = next(index for index, line in enumerate(lines) if line.lstrip().startswith("#bind"))
    lines[first] = f"{indent}- {lines[first].strip().removeprefix('#')}"
    yield from lines


def _assignment(key: Key, indent: str) -> str:
    if not indent and key.name in _DECISIONS:
        return f"{key.name}: {_DECISIONS[key.name]}"
    if key.is_section:  # one that may be left out altogether
        return f"#{key.name}: {{{', '.join(f'{name}: …' for name in keys_of(key.type))}}}"
    if key.default is None:
        return f"#{key.name}:"
    written = _written(key.default, key)
    if len(written) <= _WIDTH:
        return f"#{key.name}: {written}"
    items = [_item(each) for each in key.default]
    return f"#{key.name}: [\n" + "".join(f"{indent}#  {row},\n" for row in _rows(items)) + f"{indent}#]"


def _rows(items: list[str]) -> Iterator[str]:
    row = ""
    for item in items:
        if row and len(row) + len(item) + 2 > _WIDTH:
            yield row
            row = ""
        row = f"{row}, {item}" if row else item
    yield row


def _written(value: Any, key: Key) -> str:
    match key.checks.get("unit"):
        case "duration":
            return _measured(value, _UNITS)
        case "size":
            return _measured(value, _SIZES)
    if isinstance(value, tuple):
        return f"[{', '.join(_item(each) for each in value)}]"
    return _item(value)


def _measured(value: int, units: tuple[tuple[str, int], ...]) -> str:
    unit, factor = next((unit, factor) for unit, factor in units if value % factor == 0 and value >= factor)
    return f"{value // factor}{unit}"


def _item(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Path):
        return str(value)
    plain = value.replace("_", "").replace("-", "").isalpha() and value.lower() not in ("yes", "no", "on", "off")
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _choices(key: Key) -> str:
    return f" One of: {', '.join(get_args(key.type))}." if get_origin(key.type) is Literal else ""
