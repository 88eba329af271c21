"""Which part of a room's history another server may see: what any of its users may.

Server-server API has no rules of its own for this; "Room History Visibility" of the client-server API is about users,
and a server can show its users no more than it has. Servers in use send an event that the asking server may not see
in its redacted form, so that the graph stays whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homeserver.protocol.visibility import (
    EVERYTHING,
    FIRST_POSITION,
    JOINED,
    Change,
    ReadableHistory,
    readable_history,
)

MemberChange = tuple[int, str, str]
"""Position, user id, membership."""


@dataclass(frozen=True, slots=True)
class ServerHistory:
    """`readable`: what the server may see now. `present`: when any of its users was in the room: what it got then."""

    readable: ReadableHistory
    present: ReadableHistory


SEES_EVERYTHING = ServerHistory(EVERYTHING, EVERYTHING)


def server_history(
    visibilities: Sequence[Change], members: Iterable[MemberChange], *, in_room_after: int | None
) -> ServerHistory:
    """Both inputs in ascending order of position, of one server's users only.

    `in_room_after`: the server is in the room now, and this is the last position that anybody will ask about; None
    where it is not in the room.
    """
    memberships = memberships_of_server(members)
    present = readable_history([(FIRST_POSITION, JOINED)], memberships)
    if in_room_after is None:
        return ServerHistory(present, present)
    # Rule 3 is about a join at any later point: this is the one that makes the server a member today.
    return ServerHistory(readable_history(visibilities, [*memberships, (in_room_after + 1, "join")]), present)


def memberships_of_server(members: Iterable[MemberChange]) -> list[Change]:
    """The server's users as if they were one: joined while any of them is, else invited while any of them is."""
    joined: set[str] = set()
    invited: set[str] = set()
    changes: list[Change] = []
    for position, user_id, membership in members:
        for users, meaning in ((joined, "join"), (invited, "invite")):
            users.add(user_id) if membership == meaning else users.discard(user_id)
        now = "join" if joined else "invite" if invited else "leave"
        if not changes or changes[-1][1] != now:
            changes.append((position, now))
    return changes
