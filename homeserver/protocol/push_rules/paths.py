"""Dot-separated property paths (appendices, "Dot-separated property paths")."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MAX_PATH_LENGTH: Final = 255
# Only an escaped dot or backslash is an escape; any other backslash stays what it is.
_TOKEN: Final = re.compile(r"\\([.\\])|(\.)|(\\|[^.\\]+)", re.DOTALL)


@lru_cache(maxsize=1024)
def parse_path(path: str) -> tuple[str, ...]:
    r"""``content.m\.relates_to.rel_type`` -> ``("content", "m.relates_to", "rel_type")``."""
    names = [""]
    for escaped, separator, literal in _TOKEN.findall(path):
        if separator:
            names.append("")
        else:
            names[-1] += escaped or literal
    return tuple(names)
