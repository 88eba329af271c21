"""What an administrator wrote, before it is given a meaning: a tree of texts that remember where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml

from config.errors import ConfigError

Value: TypeAlias = "str | list[Node] | dict[str, Node] | None"

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Node:
    """A text, nothing, a list or a section; `where` is for error messages, relative paths start at `folder`."""

    value: Value
    where: str
    folder: Path


def read_file(path: Path) -> Node:
    """The tree of a YAML file. Raises ConfigError when there is no such file or it is not YAML."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"The configuration file {path} cannot be read: {reason}.") from error
    return parse_yaml(text, str(path), path.absolute().parent)


def parse_yaml(text: str, name: str, folder: Path) -> Node:
    """The tree of a YAML text called `name`; an empty text is an empty section."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{name}{line}: this is not YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: this is not YAML: {error}.") from error
    return Node({}, name, folder) if root is None else _node(root, name, folder)


def _node(node: yaml.Node, name: str, folder: Path) -> Node:
    where = f"{name}, line {node.start_mark.line + 1}"
    match node:
        case yaml.MappingNode():
            return Node(dict(_entries(node, name, folder)), where, folder)
        case yaml.SequenceNode():
            return Node([_node(item, name, folder) for item in node.value], where, folder)
        case _:
            return Node(None if node.tag == _NULL else str(node.value), where, folder)


def _entries(node: yaml.MappingNode, name: str, folder: Path) -> Iterator[tuple[str, Node]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{name}, line {line}: a key has to be a word.")
        if key.value in seen:
            raise ConfigError(f"{name}, line {line}: {key.value} is given twice; please remove one of them.")
        seen.add(key.value)
        child = _node(value, name, folder)
        # A section's name stands above its first key: the line to show is the name's.
        yield str(key.value), Node(child.value, f"{name}, line {line}", folder)
