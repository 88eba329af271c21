"""Rooms without a server: events built by hand, unsigned, with names one can read in a failing test.

    room = RoomBuilder("12").join_rule("public").join(BOB)
    room.allows(room.draft(BOB, "m.room.message", {"body": "hi"}))
    room.rejects(room.draft(MALLORY, "m.room.message", {"body": "hi"}), rule="6")

`fork()` gives a second timeline of the same room, for state resolution.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable
from typing import Any

import pytest

from homeserver.protocol.auth import (
    AuthRejection,
    auth_types_for_event,
    check_state_dependent,
    check_state_independent,
)
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from homeserver.protocol.state_res import resolve

ALICE = "@alice:example.org"
"""Makes the rooms."""
BOB = "@bob:example.org"
CHARLIE = "@charlie:elsewhere.example"
"""A friend on another server."""
MALLORY = "@mallory:evil.example"

ALL_VERSIONS = tuple(name for name, rules in ROOM_VERSIONS.items() if rules.is_stable)


def since(version: str) -> tuple[str, ...]:
    """This room version and all later ones."""
    return ALL_VERSIONS[ALL_VERSIONS.index(version) :]


def until(version: str) -> tuple[str, ...]:
    """All room versions up to this one."""
    return ALL_VERSIONS[: ALL_VERSIONS.index(version) + 1]


def make_event(
    version: RoomVersion,
    event_id: str,
    event_type: str,
    sender: str,
    content: dict[str, Any],
    *,
    room_id: str,
    state_key: str | None = None,
    prev_event_ids: Iterable[str] = (),
    auth_event_ids: Iterable[str] = (),
    origin_server_ts: int = 0,
    depth: int = 1,
    redacts: str | None = None,
) -> Event:
    """An event with exactly these fields; the signature in its PDU is only there, not valid."""
    is_create = event_type == "m.room.create"
    pdu: dict[str, Any] = {
        "type": event_type,
        "sender": sender,
        "content": content,
        "origin_server_ts": origin_server_ts,
        "depth": depth,
        "signatures": {sender.partition(":")[2]: {"ed25519:1": "made up"}},
        **({} if is_create and version.room_id_is_create_event_id else {"room_id": room_id}),
        **({} if state_key is None else {"state_key": state_key}),
    }
    return Event(
        event_id=event_id,
        room_id=room_id,
        room_version=version,
        type=event_type,
        state_key=state_key,
        sender=sender,
        content=content,
        origin_server_ts=origin_server_ts,
        depth=depth,
        prev_event_ids=tuple(prev_event_ids),
        auth_event_ids=tuple(auth_event_ids),
        redacts=redacts,
        pdu=pdu,
    )


class RoomBuilder:
    """A room that Alice made and joined; every verb adds an event without asking whether it is allowed."""

    def __init__(self, version: str = "12", creator: str = ALICE, **create_content: Any) -> None:
        self.version = ROOM_VERSIONS[version]
        self.creator = creator
        self.room_id = "!create" if self.version.room_id_is_create_event_id else "!room:example.org"
        self.events: dict[str, Event] = {}
        self.state: dict[StateKey, str] = {}
        self.tip: tuple[str, ...] = ()
        self.depth = 0
        content = {"room_version": version, **create_content}
        if self.version.create_needs_creator:
            content.setdefault("creator", creator)
        self.add(self.draft(creator, "m.room.create", content, "", event_id="$create"))
        self.member(creator, "join")

    # --- Building -------------------------------------------------------------------------------------------------

    def draft(
        self,
        sender: str,
        event_type: str,
        content: dict[str, Any] | None = None,
        state_key: str | None = None,
        *,
        event_id: str | None = None,
        **fields: Any,
    ) -> Event:
        """The event this user would send now: auth events selected from the state, not yet in the room."""
        content = {} if content is None else content
        keys = auth_types_for_event(event_type, sender, state_key, content, self.version)
        name = event_id or f"${len(self.events)}-{sender[1:].partition(':')[0]}-{event_type}"
        if self.version.event_id_in_pdu and ":" not in name:
            name += ":" + sender.partition(":")[2]
        fields.setdefault("room_id", self.room_id)
        fields.setdefault("prev_event_ids", self.tip)
        fields.setdefault("auth_event_ids", [self.state[key] for key in keys if key in self.state])
        fields.setdefault("origin_server_ts", 1000 * (len(self.events) + 1))
        fields.setdefault("depth", self.depth + 1)
        return make_event(self.version, name, event_type, sender, content, state_key=state_key, **fields)

    def add(self, event: Event) -> Event:
        """Put an event at the tip of the room, allowed or not."""
        self.events[event.event_id] = event
        self.tip, self.depth = (event.event_id,), event.depth
        if event.state_key is not None:
            self.state[event.key] = event.event_id
        return event

    def send(self, sender: str, event_type: str, content: dict[str, Any] | None = None, **fields: Any) -> Event:
        """Draft and add."""
        return self.add(self.draft(sender, event_type, content, **fields))

    def set(
        self, sender: str, event_type: str, content: dict[str, Any], state_key: str = "", **fields: Any
    ) -> RoomBuilder:
        """Set state."""
        self.add(self.draft(sender, event_type, content, state_key, **fields))
        return self

    def member(self, user: str, membership: str, by: str | None = None, **content: Any) -> RoomBuilder:
        """Set a membership, by default by the user."""
        return self.set(by or user, "m.room.member", {"membership": membership, **content}, user)

    def join(self, *users: str) -> RoomBuilder:
        """These users are in the room."""
        for user in users:
            self.member(user, "join")
        return self

    def join_rule(self, rule: str, **content: Any) -> RoomBuilder:
        """Alice sets the join rule."""
        return self.set(self.creator, "m.room.join_rules", {"join_rule": rule, **content})

    def power_levels(self, users: dict[str, Any] | None = None, **content: Any) -> RoomBuilder:
        """Alice sets power levels; she herself has 100, and what is needed by default since v12: infinitely much."""
        mine = {} if self.version.creators_have_infinite_power else {self.creator: 100}
        return self.set(self.creator, "m.room.power_levels", {"users": {**mine, **(users or {})}, **content})

    def fork(self) -> RoomBuilder:
        """A second timeline that starts here; both know all events."""
        other = copy.copy(self)
        other.state = dict(self.state)
        return other

    # --- Asking ---------------------------------------------------------------------------------------------------

    def fetch(self, event_type: str, state_key: str) -> Event | None:
        """The state, as auth rules read it."""
        event_id = self.state.get((event_type, state_key))
        return None if event_id is None else self.events[event_id]

    def allows(self, event: Event) -> None:
        """The rules that look at the state allow this event."""
        check_state_dependent(event, self.version, self.fetch)

    def rejects(self, event: Event, rule: str) -> None:
        """This rule forbids this event."""
        with pytest.raises(AuthRejection) as caught:
            check_state_dependent(event, self.version, self.fetch)
        assert caught.value.rule == rule, str(caught.value)
        assert caught.value.errcode == "M_FORBIDDEN"

    def allows_by_itself(self, event: Event, rejected: Container[str] = ()) -> None:
        """The rules that look at the event and its auth events only allow it."""
        auth_events = [self.events[event_id] for event_id in event.auth_event_ids]
        create = self.events[self.state["m.room.create", ""]]
        check_state_independent(event, auth_events, create_event=create, rejected_event_ids=rejected)

    def rejects_by_itself(self, event: Event, rule: str, rejected: Container[str] = ()) -> None:
        """This rule forbids this event, whatever the state."""
        with pytest.raises(AuthRejection) as caught:
            self.allows_by_itself(event, rejected)
        assert caught.value.rule == rule, str(caught.value)


def resolved(*rooms: RoomBuilder, rejected: Container[str] = ()) -> dict[StateKey, str]:
    """The state that the forks of a room make together."""
    first = rooms[0]
    states = [room.state for room in rooms]
    return resolve(first.version, states, None, first.events.get, rejected_event_ids=rejected)
