"""What a client may be refused: what spec_coverage.toml says to be missing, and what only unstable proposals have."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable

from tests.interop.environments import PROJECT

# Outside of the specification, and not there yet.
UNSTABLE = (
    "GET /_matrix/client/unstable/org.matrix.msc2946/rooms/{roomId}/hierarchy",  # the SDK's second try for v1's
)

# Served where the operator switches it on, which the server under test has not.
SWITCHED_OFF = ("GET /_matrix/client/v1/media/preview_url",)


def unexpected(refused: Iterable[str]) -> set[str]:
    """Of lines such as `GET /path 404 M_UNRECOGNIZED` those that neither are missing by decision nor say "not found"."""
    missing = _missing()
    return {line for line in refused if not line.endswith("M_NOT_FOUND") and not _is_missing(line, missing)}


def _is_missing(line: str, missing: list[re.Pattern[str]]) -> bool:
    return line.endswith("404 M_UNRECOGNIZED") and any(pattern.match(line) for pattern in missing)


def _missing() -> list[re.Pattern[str]]:
    modules = tomllib.loads((PROJECT / "spec_coverage.toml").read_text()).values()
    said = (operation for module in _leaves(modules) for operation in module.items())
    templates = [operation for operation, word in said if word.startswith("missing")]
    return [_pattern(template) for template in (*templates, *UNSTABLE, *SWITCHED_OFF)]


def _leaves(tables: Iterable[dict[str, dict[str, str]]]) -> Iterable[dict[str, str]]:
    return (module for table in tables for module in table.values())


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", template)
    return re.compile("[^/ ]+".join(re.escape(part) for part in parts) + " ")
