"""Which rooms concern a bridge: asked of the database once, and again when that may have changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from homeserver.services.appservices.interests import Interests
from homeserver.services.appservices.registration_file import parse_registration
from homeserver.services.appservices.registry import Appservices
from homeserver.services.rooms.timeline_event import TimelineEvent
from tests.bridge import registration

ROOM, ALICE, CAROL, DAN = "!lobby:test", "@alice:test", "@_net_carol:test", "@_net_dan:test"


@dataclass
class Rooms:
    """The database, and a memory of rooms that has none."""

    members: set[str] = field(default_factory=lambda: {ALICE})
    statements: int = 0

    async def local_members(self, queries: object, room_ids: Collection[str], suffix: str) -> list[tuple[str, str]]:
        self.statements += 1
        return [(room_id, user_id) for room_id in room_ids for user_id in self.members]

    async def aliases(self, queries: object, room_ids: Collection[str]) -> list[tuple[str, str]]:
        return []

    def peek(self, room_id: str) -> None:
        return None


@dataclass
class Lobby:
    rooms: Rooms
    interests: Interests
    bridge: Any

    async def tell(self, event: TimelineEvent) -> bool:
        """Whether the bridge is told."""
        return self.bridge in self.interests.of_event(event, await self.interests.of_room(ROOM))

    async def member(self, user_id: str, membership: str) -> bool:
        (self.rooms.members.add if membership == "join" else self.rooms.members.discard)(user_id)
        return await self.tell(_event("m.room.member", user_id, user_id, {"membership": membership}))

    async def hears_alice(self) -> bool:
        return await self.tell(_event("m.room.message", ALICE, None, {"body": "hello"}))


@pytest.fixture
def lobby() -> Lobby:
    rooms, bridge = Rooms(), parse_registration(registration(None), "test")
    return Lobby(rooms, Interests(Appservices([bridge], "test"), rooms, None, rooms, "test"), bridge)  # type: ignore[arg-type]


def _event(event_type: str, sender: str, state_key: str | None, content: dict[str, Any]) -> TimelineEvent:
    return TimelineEvent(
        event_nid=1, position=1, room_nid=1, room_id=ROOM, event_id="$1", type=event_type, state_key=state_key,
        sender=sender, origin_server_ts=0, depth=1, flags=0, body=orjson.dumps({"content": content}), unsigned=None,
    )  # fmt: skip


async def test_a_room_concerns_a_bridge_from_its_first_user_to_its_last(lobby: Lobby) -> None:
    assert not await lobby.hears_alice()
    assert await lobby.member(CAROL, "join")
    assert await lobby.hears_alice()
    assert await lobby.member(DAN, "join")
    assert await lobby.member(CAROL, "leave")
    assert await lobby.hears_alice()
    assert await lobby.member(DAN, "leave")
    assert not await lobby.hears_alice()


async def test_a_crowd_behind_a_bridge_comes_in_without_a_look_at_the_room_for_each(lobby: Lobby) -> None:
    await lobby.member(CAROL, "join")
    await lobby.hears_alice()
    statements = lobby.rooms.statements
    for number in range(100):
        assert await lobby.member(f"@_net_{number}:test", "join")
        assert await lobby.hears_alice()
    assert lobby.rooms.statements == statements


async def test_users_of_other_servers_are_nobodys(lobby: Lobby) -> None:
    assert not await lobby.member("@_net_carol:elsewhere", "join")
    assert lobby.interests.appservices.memory_usage()["known_users"] == len({ALICE})
