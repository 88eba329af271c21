"""Tags of rooms: the room account data `m.tag`, changed one tag at a time ("Room Tagging")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.identifiers import utf8_length
from homeserver.services.account_data.account_data import MAX_ENTRIES, check_owner, check_room
from homeserver.services.account_data.stream import AccountDataStream
from homeserver.storage.account_data import AccountDataRows

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

TAG = "m.tag"
MAX_TAG_BYTES = 255  # "The name of a tag MUST NOT exceed 255 bytes."
MAX_TAGS = 100
MAX_TAG_CONTENT_BYTES = 4096
MAX_ATTEMPTS = 8

Tags = dict[str, Any]


@dataclass(slots=True)
class RoomTags:
    """Verbs over the tags a user gave a room."""

    queries: Queries
    rows: AccountDataRows
    stream: AccountDataStream

    async def of_room(self, requester: Requester, user_id: str, room_id: str) -> Tags:
        """Content by tag. Raises Forbidden, InvalidParam."""
        check_owner(requester, user_id)
        check_room(room_id)
        stored = await self.rows.get(self.queries, user_id, room_id, TAG)
        return _tags_in(stored[0]) if stored is not None else {}

    async def put(self, requester: Requester, user_id: str, room_id: str, tag: str, content: dict[str, Any]) -> None:
        """Give the room a tag, or change it. Raises Forbidden, BadJson, InvalidParam, TooLarge."""
        if utf8_length(tag) > MAX_TAG_BYTES:
            raise errors.InvalidParam(f"A tag has at most {MAX_TAG_BYTES} bytes")
        _check_content(content)

        def add(tags: Tags) -> Tags:
            if tag not in tags and len(tags) >= MAX_TAGS:
                raise errors.TooLarge(f"A room has at most {MAX_TAGS} tags")
            return {**tags, tag: content}

        await self._change(requester, user_id, room_id, add)

    async def remove(self, requester: Requester, user_id: str, room_id: str, tag: str) -> None:
        """Take a tag away; nothing happens where it is not there. Raises Forbidden, InvalidParam."""
        await self._change(requester, user_id, room_id, lambda tags: {name: tags[name] for name in tags if name != tag})

    async def _change(self, requester: Requester, user_id: str, room_id: str, change: Callable[[Tags], Tags]) -> None:
        check_owner(requester, user_id)
        check_room(room_id)
        refused_as_new = False
        for _ in range(MAX_ATTEMPTS):
            stored = await self.rows.get(self.queries, user_id, room_id, TAG)
            if stored is None and refused_as_new:
                raise errors.TooLarge(f"A user has at most {MAX_ENTRIES} entries of account data")
            before = _tags_in(stored[0]) if stored is not None else {}
            after = change(before)
            if after == before or await self._replace(user_id, room_id, after, stored[1] if stored else 0):
                return
            refused_as_new = stored is None
        raise errors.Unavailable("The tags are being changed from elsewhere, try again")

    async def _replace(self, user_id: str, room_id: str, tags: Tags, before: int) -> bool:
        content = orjson.dumps({"tags": tags})
        async with self.stream.writing() as write:
            replaced = await self.rows.replace(
                self.queries, user_id, room_id, TAG, content, write.position, before, MAX_ENTRIES
            )
            if replaced:
                write.done(user_id, room_id, TAG, content)
        return replaced


def _tags_in(content: bytes) -> Tags:
    """Clients may also write m.tag as plain account data, with anything in it."""
    tags = orjson.loads(content).get("tags")
    return tags if isinstance(tags, dict) else {}


def _check_content(content: dict[str, Any]) -> None:
    order = content.get("order")
    if order is not None and (isinstance(order, bool) or not isinstance(order, int | float) or not 0 <= order <= 1):
        raise errors.BadJson("'order' must be a number between 0 and 1")
    if len(orjson.dumps(content)) > MAX_TAG_CONTENT_BYTES:
        raise errors.TooLarge(f"A tag's content has at most {MAX_TAG_CONTENT_BYTES} bytes")
