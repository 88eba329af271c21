"""Settings from the environment: `VOICECHAT_REGISTRATION__ENABLED=true` is `registration: {enabled: true}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from config.document import Node, parse_yaml
from config.errors import ConfigError
from config.fields import Key, keys_of
from config.settings import Settings
from config.values import nearest

PREFIX = "VOICECHAT_"
# Not settings: what the tests and the launcher read, and what Kubernetes sets in every container when some service
# happens to be called "voicechat".
_OTHERS = re.compile(
    r"VOICECHAT_((TEST|INTEROP)_\w*|BOT_PASSWORD|PYTHON|SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)\w*)?)"
)


def overrides_of(environment: Mapping[str, str]) -> list[tuple[tuple[str, ...], Node]]:
    """Key paths and values of all our variables. An empty one counts as absent. Raises ConfigError on an unknown one."""
    found = []
    for variable, text in sorted(environment.items()):
        if variable.startswith(PREFIX) and text and not _OTHERS.fullmatch(variable):
            path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
            found.append((path, node_of(path, text, f"the environment variable {variable}")))
    return found


def node_of(path: tuple[str, ...], text: str, where: str) -> Node:
    """The value of one key given outside of the file; lists are written as in YAML: `[a, b]`."""
    key = _key_at(path, where)
    if key.is_text:
        return Node(text, where, Path.cwd())
    parsed = parse_yaml(text, where, Path.cwd())
    return Node(parsed.value, where, Path.cwd())


def _key_at(path: tuple[str, ...], where: str) -> Key:
    section: type = Settings
    for depth, name in enumerate(path):
        keys = keys_of(section)
        if name not in keys:
            remedy = nearest(name, keys) or "."
            raise ConfigError(f"{where}: there is no setting {'.'.join(path[: depth + 1])}{remedy}")
        if depth == len(path) - 1:
            return keys[name]
        if not keys[name].is_section:
            raise ConfigError(f"{where}: {'.'.join(path[: depth + 1])} has no keys of its own.")
        section = keys[name].type
    raise AssertionError("a path has at least one name")
