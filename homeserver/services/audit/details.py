"""What may be said in an entry: a JSON object of limited size, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

MAX_BYTES: Final = 4096
MAX_STRING: Final = 256
MAX_ITEMS: Final = 20
MAX_DEPTH: Final = 4
MAX_TARGET: Final = 512
# A net below those who write entries, who are to leave them out anyway.
SECRETS: Final = frozenset(
    {"password", "new_password", "access_token", "refresh_token", "token", "secret", "mac", "nonce"}
)


def details_json(details: Mapping[str, Any] | None) -> str:
    """As stored. What is too long is cut, and marked with an ellipsis."""
    if not details:
        return "{}"
    text = orjson.dumps(_bounded(details, 0))
    if len(text) > MAX_BYTES:
        text = orjson.dumps({"cut": text.decode()[: MAX_BYTES // 8] + "…"})
    return text.decode()


def shortened(secret: str) -> str:
    """Enough of a secret that somebody who has it finds it again, too little for anybody else."""
    return f"{secret[: min(4, len(secret) // 3)]}…"


def cut(text: str, maximum: int) -> str:
    """Storable, and not longer than that."""
    storable = text.replace("\0", "").encode("utf-8", "replace").decode()
    return storable if len(storable) <= maximum else f"{storable[: maximum - 1]}…"


def _bounded(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return cut(value, MAX_STRING)
    if value is None or isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 2**53):
        return value
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {cut(str(key), MAX_STRING): _entry(key, item, depth) for key, item in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value)
        return [_bounded(item, depth + 1) for item in items[:MAX_ITEMS]] + ["…"] * (len(items) > MAX_ITEMS)
    return cut(str(value), MAX_STRING)


def _entry(key: Any, value: Any, depth: int) -> Any:
    return "…" if key in SECRETS and value is not None else _bounded(value, depth + 1)
