"""Profiles of identity providers: what is known of a kind, below what the administrator writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from config.document import Node, read_file
from config.errors import ConfigError
from config.values import nearest

FOLDER: Final = Path(__file__).parent / "providers"


def with_profiles(tree: Node) -> Node:
    """The tree, with the profile's keys in each provider that names one. Raises ConfigError for unknown names."""
    sso = tree.value.get("sso") if isinstance(tree.value, dict) else None
    listed = sso.value.get("providers") if sso is not None and isinstance(sso.value, dict) else None
    if listed is None or not isinstance(listed.value, list):
        return tree
    providers = Node([_with_profile(each) for each in listed.value], listed.where, listed.folder)
    assert sso is not None
    assert isinstance(sso.value, dict)
    assert isinstance(tree.value, dict)
    section = Node({**sso.value, "providers": providers}, sso.where, sso.folder)
    return Node({**tree.value, "sso": section}, tree.where, tree.folder)


def profile_names() -> list[str]:
    """Those that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _with_profile(provider: Node) -> Node:
    named = provider.value.get("profile") if isinstance(provider.value, dict) else None
    if named is None or not isinstance(named.value, str):
        return provider
    if named.value not in profile_names():
        known = profile_names()
        raise ConfigError(
            f"{named.where}: sso.providers.profile must be one of {', '.join(known)}{nearest(named.value, known)}."
        )
    return _merged(read_file(FOLDER / f"{named.value}.yaml"), provider)


def _merged(below: Node, above: Node) -> Node:
    """Key by key, also inside of sections; lists are replaced."""
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    merged = dict(below.value)
    for name, child in above.value.items():
        merged[name] = _merged(merged[name], child) if name in merged else child
    return Node(merged, above.where, above.folder)
