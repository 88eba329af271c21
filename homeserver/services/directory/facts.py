"""What the directory tells of a room, read from its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.content import text_of
from homeserver.protocol.identifiers import is_room_alias

Content = Mapping[str, Any]
ContentOf = Callable[[str], Content]
"""From an event type to the content of the state event with an empty state key; empty where there is none."""

# The state that the directory shows.
FACT_TYPES = (
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.create",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.name",
    "m.room.topic",
)


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """A room as the directory knows it."""

    room_id: str
    room_nid: int
    joined: int
    name: str | None
    topic: str | None
    alias: str | None
    avatar_url: str | None
    join_rule: str
    room_type: str | None
    world_readable: bool
    guest_can_join: bool

    @property
    def place(self) -> tuple[int, int]:
        """Where the room stands in the directory: many members first, then in order of creation."""
        return (-self.joined, self.room_nid)

    def mentions(self, term: str) -> bool:
        """Whether name, topic or alias has the text; `term` is case-folded."""
        return any(text is not None and term in text.casefold() for text in (self.name, self.topic, self.alias))

    def as_chunk(self) -> dict[str, Any]:
        """`PublishedRoomsChunk`; what the room does not have is left out."""
        optional = {
            "name": self.name,
            "topic": self.topic,
            "canonical_alias": self.alias,
            "avatar_url": self.avatar_url,
            "room_type": self.room_type,
        }
        return {
            "room_id": self.room_id,
            "num_joined_members": self.joined,
            "world_readable": self.world_readable,
            "guest_can_join": self.guest_can_join,
            "join_rule": self.join_rule,
            **{key: value for key, value in optional.items() if value is not None},
        }


def room_facts(room_id: str, room_nid: int, joined: int, content_of: ContentOf) -> RoomFacts:
    """Read them. State is what its senders made of it: whatever has another type than the spec says is left out."""
    alias = text_of(content_of("m.room.canonical_alias"), "alias")
    return RoomFacts(
        room_id=room_id,
        room_nid=room_nid,
        joined=joined,
        name=text_of(content_of("m.room.name"), "name"),
        topic=plain_topic(content_of("m.room.topic")),
        alias=alias if is_room_alias(alias) else None,
        avatar_url=text_of(content_of("m.room.avatar"), "url"),
        join_rule=text_of(content_of("m.room.join_rules"), "join_rule") or "invite",
        room_type=text_of(content_of("m.room.create"), "type"),
        world_readable=content_of("m.room.history_visibility").get("history_visibility") == "world_readable",
        guest_can_join=content_of("m.room.guest_access").get("guest_access") == "can_join",
    )


def plain_topic(content: Content) -> str | None:
    """The topic as plain text: of `m.topic` where it has one, else the older key."""
    block = content.get("m.topic")
    texts = block.get("m.text") if isinstance(block, dict) else None
    for text in texts if isinstance(texts, list) else ():
        if isinstance(text, dict) and text.get("mimetype", "text/plain") == "text/plain":
            body = text_of(text, "body")
            if body is not None:
                return body
    return text_of(content, "topic")
