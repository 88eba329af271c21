"""What gateways are told of an event: names of its sender and room among it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.services.push.notification import Told
from homeserver.services.unread.threads import MAIN

if TYPE_CHECKING:
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.unread.threads import Threads

MAX_NAME_CHARACTERS: Final = 255
"""Names of people and rooms may be as long as an event: phones show a line."""
MAX_NAMED: Final = 3
"""Members that give a room without a name its name."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Two verbs; nothing is asked of the database."""

    threads: Threads

    def of_event(self, event: TimelineEvent, room: LiveRoom, now_ms: int) -> Told:
        """An event of a room in memory."""
        alias = _text(room, "m.room.canonical_alias", "alias")
        names: dict[str, str] = {}
        name = _text(room, "m.room.name", "name") or alias
        if name is None:
            name, names = _named_after_members(room)
        return Told(
            position=event.position,
            event_id=event.event_id,
            room_id=event.room_id,
            room_nid=event.room_nid,
            thread_id=self.threads.known(room, event.type, event.content) or MAIN,
            type=event.type,
            sender=event.sender,
            state_key=event.state_key,
            content=event.content,
            sent_ms=now_ms,
            sender_name=_member_name(room, event.sender),
            room_alias=alias,
            room_name=name,
            names=names,
        )

    def of_invitation(self, event: TimelineEvent, stripped: bytes, now_ms: int) -> Told:
        """An invitation into a room of which only the `stripped` state is known, a JSON list of events."""
        state = _stripped_contents(stripped)
        name = _string(state.get(("m.room.name", "")), "name")
        alias = _string(state.get(("m.room.canonical_alias", "")), "alias")
        sender_name = _string(state.get(("m.room.member", event.sender)), "displayname")
        return Told(
            position=event.position,
            event_id=event.event_id,
            room_id=event.room_id,
            room_nid=event.room_nid,
            thread_id=MAIN,
            type=event.type,
            sender=event.sender,
            state_key=event.state_key,
            content=event.content,
            sent_ms=now_ms,
            sender_name=sender_name or event.sender,
            room_alias=alias,
            room_name=name or alias,
            names={},
        )


def _text(room: LiveRoom, event_type: str, key: str) -> str | None:
    event = room.state.get(event_type)
    return None if event is None else _string(event.content, key)


def _string(content: Any, key: str) -> str | None:
    value = content.get(key) if isinstance(content, dict) else None
    return value[:MAX_NAME_CHARACTERS] if isinstance(value, str) and value else None


def _member_name(room: LiveRoom, user_id: str) -> str:
    member = room.state.get("m.room.member", user_id)
    return (_string(member.content, "displayname") if member is not None else None) or user_id


def _named_after_members(room: LiveRoom) -> tuple[str, dict[str, str]]:
    """ "Calculating the display name for a room": for most members, and by reader where that is something else.

    Who is only invited is not told who is inside.
    """
    members = room.state.of_type("m.room.member")
    there = room.joined | room.invited
    first = nsmallest(
        MAX_NAMED + 1, (user_id for user_id in there if user_id in members), lambda each: members[each].event_nid
    )
    others = len(there) - 1
    by_reader = {
        reader: joined_names([_member_name(room, each) for each in first if each != reader], others) for reader in first
    }
    usual = joined_names([_member_name(room, each) for each in first], others)
    return usual, by_reader | dict.fromkeys(room.invited, "")


def joined_names(names: Sequence[str], others: int) -> str:
    """The names of some of the `others` in a room."""
    shown = names[:MAX_NAMED]
    if others > len(shown) and shown:
        return f"{', '.join(shown)} and {others - len(shown)} others"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else ""


def _stripped_contents(stripped: bytes) -> dict[tuple[str, str], Any]:
    try:
        events = orjson.loads(stripped)
    except orjson.JSONDecodeError:
        return {}
    return {
        (each["type"], each["state_key"]): each.get("content")
        for each in events
        if isinstance(each, dict) and isinstance(each.get("type"), str) and isinstance(each.get("state_key"), str)
    }
