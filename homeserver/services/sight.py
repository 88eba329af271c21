"""Which rooms somebody may look into without asking each of them: what he is in rooms, in one value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from homeserver.storage.memberships import Membership


class Sight(NamedTuple):
    """Ids of rooms. Who is banned sees less than who never was there: doors that are open to all are closed to him."""

    joined: Collection[str]
    banned: Collection[str] = frozenset()


def sight_of(memberships: Mapping[str, Membership]) -> Sight:
    """From all memberships of a user, forgotten ones too."""
    joined, banned = set[str](), set[str]()
    for room_id, entry in memberships.items():
        if entry.membership == "join":
            joined.add(room_id)
        elif entry.membership == "ban":
            banned.add(room_id)
    return Sight(joined, banned)
