"""Settings from a YAML file, then the environment, then flags: the later one wins, key by key.

Nothing is guessed: an unknown key or a value of the wrong kind is an error that names the place and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.document import Node, read_file
from config.environment import node_of, overrides_of
from config.errors import ConfigError
from config.fields import Key, keys_of
from config.profiles import with_profiles
from config.settings import Settings
from config.values import nearest, parse_text

Flags = Mapping[tuple[str, ...], tuple[str, str]]


def load_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Flags | None = None
) -> Settings:
    """All settings. `flags` are texts by key path, with the flag's name: `{("data_dir",): ("--data-dir", "x")}`.

    Paths in the file are relative to the file, those of variables and flags to the current directory.
    Raises ConfigError with a line for each mistake.
    """
    tree = read_file(file) if file is not None else Node({}, "the settings", Path.cwd())
    overrides = overrides_of(environment or {})
    overrides += [(path, node_of(path, text, flag)) for path, (flag, text) in (flags or {}).items()]
    for path, node in overrides:
        tree = _with(tree, path, node)
    return settings_of(tree)


def settings_of(tree: Node) -> Settings:
    """The settings a whole tree stands for."""
    builder = _Builder(tree.folder)
    settings = builder.section(with_profiles(tree), Settings, "")
    if builder.problems:
        raise ConfigError("\n".join(builder.problems))
    assert isinstance(settings, Settings)
    return settings


def _with(tree: Node, path: tuple[str, ...], node: Node) -> Node:
    """A copy of the tree in which the key at `path` has this value."""
    if not path:
        return node
    inner = dict(tree.value) if isinstance(tree.value, dict) else {}
    child = inner.get(path[0], Node({}, node.where, node.folder))
    inner[path[0]] = _with(child, path[1:], node)
    return Node(inner, tree.where, tree.folder)


@dataclass(slots=True)
class _Builder:
    """Builds dataclasses from a tree and remembers what was wrong, so that all mistakes are told at once."""

    folder: Path
    problems: list[str] = field(default_factory=list)

    def section(self, node: Node, kind: type, name: str) -> Any:
        """An instance of the dataclass; on mistakes one with defaults in their place, and problems noted."""
        keys = keys_of(kind)
        given = node.value if isinstance(node.value, dict) else {}
        if node.value is not None and not isinstance(node.value, dict):
            self._complain(node, name, f"has to be a section with keys such as {', '.join(list(keys)[:3])}")
        for word, child in given.items():
            if word not in keys:
                self._complain(child, _join(name, word), f"is not a setting{nearest(word, keys)}")
        return kind(**{key.field: self._value(key, given.get(key.name), name) for key in keys.values()})

    def _value(self, key: Key, node: Node | None, section: str) -> Any:
        name = _join(section, key.name)
        if node is None or (node.value is None and (key.optional or key.is_section)):
            return self._default(key)
        if key.is_section:
            return self.section(node, key.type, name)
        if key.item_type is not None:
            return self._list(key, node, name)
        return self._text(key, key.type, node, name)

    def _default(self, key: Key) -> Any:
        return self.folder / key.default if isinstance(key.default, Path) else key.default

    def _list(self, key: Key, node: Node, name: str) -> tuple[Any, ...]:
        if not isinstance(node.value, list):
            self._complain(node, name, "has to be a list, such as [a, b]")
            return ()
        kind = key.item_type
        if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
            return tuple(self.section(item, kind, f"{name}[{index}]") for index, item in enumerate(node.value))
        return tuple(self._text(key, kind, item, name) for item in node.value)

    def _text(self, key: Key, kind: Any, node: Node, name: str) -> Any:
        if not isinstance(node.value, str):
            self._complain(node, name, "needs a value" if node.value is None else "has to be a single value")
            return key.default
        try:
            return parse_text(node.value, kind, key.checks, node.folder)
        except ValueError as error:
            shown = "" if key.checks.get("secret") else f", not {node.value!r}"
            self._complain(node, name, f"{error}{shown}")
            return key.default

    def _complain(self, node: Node, name: str, what: str) -> None:
        self.problems.append(f"{node.where}: {name or 'the file'} {what}{'' if what.endswith('?') else '.'}")


def _join(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name
