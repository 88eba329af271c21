"""Sliding sync of a room whose state is resolved: what is taken away reaches clients of both shapes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client
from tests.federation.conftest import Home
from tests.federation.foreign_rooms import MALLORY
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer
from tests.federation.shared_rooms import BOB, shared_room

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ACCEPTED = "/_matrix/client/v4/sync"


@pytest.fixture
def bobs(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


async def unstable(client: Client, pos: str | None = None) -> Any:
    wanted = {"timeline_limit": 5, "required_state": [["m.room.topic", ""], ["m.room.name", ""]]}
    return await client.post(UNSTABLE, {"conn_id": "old", "lists": {"all": wanted}}, pos=pos)


async def accepted(client: Client, pos: str | None = None) -> Any:
    topic = {"type": "m.room.topic", "state_key": ""}
    wanted = {"timeline_limit": 5, "required_state": {"include": [topic]}}
    return await client.post(ACCEPTED, {"conn_id": "new", "lists": {"all": wanted}, "pos": pos})


async def test_what_resolution_takes_away_is_told(alpha: Home, bobs: ForeignServer) -> None:
    levels = {"users": {"@alice:" + alpha.server.server_name: 100, MALLORY: 100, BOB: 50}}
    alice, room = await shared_room(alpha, bobs, (MALLORY, BOB), power_level_content_override=levels, name="Here")
    tip = list(room.tip)
    topic = room.set(BOB, "m.room.topic", {"topic": "Bob's"})
    ban = room.add(room.build(MALLORY, "m.room.member", {"membership": "ban"}, BOB, prev=tip))
    assert await bobs.send(alpha.server, [topic]) == {topic.event_id: {}}
    old, new = await unstable(alice), await accepted(alice)
    assert "Bob's" in str(old["rooms"][room.room_id]["required_state"])
    assert await bobs.send(alpha.server, [ban]) == {ban.event_id: {}}
    stubs = (await accepted(alice, new["pos"]))["rooms"][room.room_id]
    assert stubs["required_state"] == [{"type": "m.room.topic", "state_key": ""}]
    assert "initial" not in stubs
    # The older shape has no word for it: the room is told anew.
    anew = (await unstable(alice, old["pos"]))["rooms"][room.room_id]
    assert anew["initial"] is True
    assert [event["type"] for event in anew["required_state"]] == ["m.room.name"]
    assert anew["joined_count"] == 2
