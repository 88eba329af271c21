"""Who made the room. Since room version 12 its creators outrank everybody, for ever."""

from __future__ import annotations

from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion


def room_creator(create: Event, version: RoomVersion) -> str | None:
    """The one creator: the sender of the create event, until v10 `content.creator`; None when that is not a string."""
    if version.implicit_room_creator:
        return create.sender
    creator = create.content.get("creator")
    return creator if isinstance(creator, str) else None


def room_creators(create: Event, version: RoomVersion) -> frozenset[str]:
    """All creators: the creator and, since v12, the `additional_creators` of the create event."""
    creator = room_creator(create, version)
    creators = frozenset() if creator is None else frozenset((creator,))
    additional = create.content.get("additional_creators")
    if version.additional_creators and isinstance(additional, list):
        return creators.union(user_id for user_id in additional if isinstance(user_id, str))
    return creators
