"""Which of some events another server may see as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.federation.serving.places import is_outlier, place_of
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.server_visibility import SEES_EVERYTHING, MemberChange, ServerHistory, server_history
from homeserver.protocol.visibility import LAST_POSITION, Change, visibility_of
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.visibility import VISIBILITY
from homeserver.storage.event_graph import StoredNode
from homeserver.storage.server_history import ServerHistoryRows
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

MEMBER = "m.room.member"


@dataclass(frozen=True, slots=True)
class ServerSight:
    """At most two statements for all events of an answer, none for a server that has been there all the time."""

    queries: Queries
    rows: ServerHistoryRows
    users: Users
    server_name: str

    async def hidden(self, room: LiveRoom, origin: str, nodes: Sequence[StoredNode]) -> set[str]:
        """Ids of those that the server gets redacted: hidden from its users, or of somebody who erased himself since
        and sent when it was not there.

        Outliers have no place in history: they are state or auth events, and the room's servers need those whole.
        """
        placed = [node for node in nodes if not is_outlier(node)]
        if not placed:
            return set()
        history = await self._history(room, origin, min(map(place_of, placed)), max(map(place_of, placed)))
        if history is SEES_EVERYTHING:
            return set()
        hidden = {node.event_id for node in placed if not history.readable.allows(place_of(node))}
        missed = [node for node in placed if not history.present.allows(place_of(node))]
        erased = await self._erased({node.sender for node in missed})
        return hidden | {node.event_id for node in missed if node.sender in erased}

    async def _history(self, room: LiveRoom, origin: str, first: int, last: int) -> ServerHistory:
        there = room.is_in(origin)
        if there and _was_there_since(room, origin, first):
            return SEES_EVERYTHING
        records = await self.rows.changes(self.queries, room.room_nid, origin, first, last)
        visibilities, members = _changes(records)
        return server_history(visibilities, members, in_room_after=min(last, LAST_POSITION - 1) if there else None)

    async def _erased(self, senders: set[str]) -> set[str]:
        ours = [sender for sender in senders if sender.partition(":")[2] == self.server_name]
        return set(await self.users.erased_among(self.queries, ours)) if ours else set()


def _was_there_since(room: LiveRoom, server_name: str, position: int) -> bool:
    """Whether memory is sure that one of the server's users joined before this position and has been there since."""
    members = room.state.of_type(MEMBER)
    return any(
        user_id.partition(":")[2] == server_name and (member := members.get(user_id)) and member.position <= position
        for user_id in room.joined
    )


def _changes(records: Sequence[Record]) -> tuple[list[Change], list[MemberChange]]:
    visibilities: list[Change] = []
    members: list[MemberChange] = []
    for event_type, state_key, position, body in records:
        content = {} if body is None else _content(body)
        if event_type == VISIBILITY:
            visibilities.append((position, visibility_of(content)))
        else:
            members.append((position, state_key, str(content.get("membership", "leave"))))
    return visibilities, members


def _content(body: bytes) -> dict[str, Any]:
    content = decode_lenient(body)["content"]
    return content if isinstance(content, dict) else {}
