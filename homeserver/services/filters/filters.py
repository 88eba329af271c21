"""Filters that clients store once and name afterwards; the parsed form is kept in memory for sync."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.canonical_json import decode_json, encode_canonical
from homeserver.protocol.filters import Filter, parse_filter
from homeserver.storage.filters import FilterRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_FILTERS_PER_USER = 1000
MAX_FILTER_BYTES = 64 * 1024
MAX_ID_DIGITS = 18
MAX_KEPT = 2000
# Larger filters are read and parsed again each time: no client has them, and thousands would fill the memory.
MAX_KEPT_BYTES = 8 * 1024


class Filters:
    """Verbs over a user's filters. Filters are never changed, so what is in memory stays true."""

    __slots__ = ("_kept", "_queries", "_rows")

    def __init__(self, queries: Queries, rows: FilterRows) -> None:
        self._queries = queries
        self._rows = rows
        self._kept: OrderedDict[tuple[str, str], Filter] = OrderedDict()

    async def create(self, user_id: str, definition: Mapping[str, Any]) -> str:
        """The id of a filter with this definition. Raises what `parse_filter` raises, TooLarge, Forbidden."""
        parse_filter(dict(definition))
        encoded = encode_canonical(definition)
        if len(encoded) > MAX_FILTER_BYTES:
            raise errors.TooLarge(f"A filter has at most {MAX_FILTER_BYTES} bytes")
        digest = hashlib.sha256(encoded).digest()
        filter_id = await self._rows.add(self._queries, user_id, digest, encoded, MAX_FILTERS_PER_USER)
        if filter_id is None:
            raise errors.Forbidden(f"You have {MAX_FILTERS_PER_USER} filters, which is as many as can be stored")
        return str(filter_id)

    async def definition(self, user_id: str, filter_id: str) -> dict[str, Any]:
        """As the client sent it. Raises NotFound."""
        stored = await self._find(user_id, filter_id)
        if stored is None:
            raise errors.NotFound("There is no such filter")
        definition: dict[str, Any] = orjson.loads(stored)
        return definition

    async def _find(self, user_id: str, filter_id: str) -> bytes | None:
        if filter_id.isascii() and filter_id.isdigit() and len(filter_id) <= MAX_ID_DIGITS:
            return await self._rows.get(self._queries, user_id, int(filter_id))
        return None

    async def _stored(self, user_id: str, filter_id: str) -> bytes:
        stored = await self._find(user_id, filter_id)
        if stored is None:
            raise errors.InvalidParam("There is no such filter")
        return stored

    async def resolve(self, user_id: str, text: str) -> Filter:
        """The filter that a query parameter means: an id, or the definition itself ("cannot start with a `{`").

        Without a statement for filters used lately. Raises InvalidParam for an unknown id, what `parse_filter` raises.
        """
        kept = self._kept.get((user_id, text))
        if kept is not None:
            self._kept.move_to_end((user_id, text))
            return kept
        definition = text if text.startswith("{") else await self._stored(user_id, text)
        found = _parse(definition)
        if len(definition) <= MAX_KEPT_BYTES:
            self._keep(user_id, text, found)
        return found

    def _keep(self, user_id: str, text: str, found: Filter) -> None:
        self._kept[user_id, text] = found
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"filters": len(self._kept)}


def _parse(text: str | bytes) -> Filter:
    definition = decode_json(text)
    if not isinstance(definition, dict):
        raise errors.BadJson("The filter must be a JSON object")
    return parse_filter(definition)
