"""The keys of a section, read from its dataclass."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `name` as it is written in the file, `field` as the dataclass calls it, `type` without its `None`."""

    name: str
    field: str
    type: Any
    optional: bool
    doc: str
    checks: Mapping[str, Any]
    default: Any

    @property
    def is_section(self) -> bool:
        return is_dataclass(self.type)

    @property
    def item_type(self) -> Any:
        """The type of a list's items; None if this is not a list."""
        return get_args(self.type)[0] if get_origin(self.type) is tuple else None

    @property
    def is_text(self) -> bool:
        """Whether its value is one word or sentence, as opposed to a list or a section."""
        return not self.is_section and self.item_type is None


@cache
def keys_of(section: type) -> Mapping[str, Key]:
    """The keys of a settings dataclass by their names in the file."""
    hints = get_type_hints(section)
    keys = {}
    for each in fields(section):
        kind, optional = _without_none(hints[each.name])
        default = each.default if each.default_factory is MISSING else each.default_factory()
        name = each.metadata.get("name") or _written(each.name, each.metadata)
        keys[name] = Key(name, each.name, kind, optional, each.metadata["doc"], each.metadata, default)
    return keys


def _written(field: str, metadata: Mapping[str, Any]) -> str:
    # `retry.initial: 10s` is kept in `initial_ms`: the unit is in the value, not in the key.
    return field.removesuffix("_ms") if metadata.get("unit") == "duration" else field


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    others = [each for each in get_args(hint) if each is not type(None)]
    return others[0], True
