"""`event_fields`: only the wanted fields of an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Path = tuple[str, ...]


def pick_fields(event: Mapping[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    """A copy of the event with the fields at these paths (parsed by `push_rules.paths.parse_path`) and no others."""
    picked: dict[str, Any] = {}
    for path in paths:
        _pick(event, path, picked)
    return picked


def _pick(source: Mapping[str, Any], path: Path, picked: dict[str, Any]) -> None:
    *parents, name = path
    for parent in parents:
        inner = source.get(parent)
        if not isinstance(inner, dict):
            return
        source = inner
    if name not in source:
        return
    for parent in parents:
        # Where a shorter path took the whole object already, it is the event's own: writing to it is forbidden.
        if parent in picked and not isinstance(picked[parent], _Partial):
            return
        picked = picked.setdefault(parent, _Partial())
    picked[name] = source[name]


class _Partial(dict[str, Any]):
    """An object of which only some fields were picked so far."""
