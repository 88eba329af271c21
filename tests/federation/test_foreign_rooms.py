"""The kit itself: rooms of scripted servers are what the rules of every version want."""

from __future__ import annotations

import pytest

from homeserver.federation.client import request_uri
from homeserver.federation.pdu_checks import PduChecks, kept
from homeserver.protocol.auth import check_state_dependent, check_state_independent
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.federation.conftest import Us
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Peer, signing_key
from tests.federation.test_pdu_checks import KnownKeys

BOB = "@bob:b.example"


def room_with_bob(version: str) -> ForeignRoom:
    room = ForeignRoom.create(version)
    room.keys["b.example"] = signing_key(3)
    room.member(BOB, "join")
    return room


def is_allowed(room: ForeignRoom, event: Event) -> None:
    """Raises AuthRejection."""
    auth = [room.events[each] for each in event.auth_event_ids]
    create = room.events[room.state["m.room.create", ""]]
    check_state_independent(event, auth, create_event=create)
    state = {key: room.events[event_id] for key, event_id in room.state_before(event.prev_event_ids).items()}
    check_state_dependent(event, room.version, lambda *key: state.get(key))


@pytest.mark.parametrize("version", ROOM_VERSIONS)
async def test_a_room_of_any_version_is_valid(version: str) -> None:
    room = room_with_bob(version)
    first = room.send(MALLORY, "hello")
    fork = [room.build(each, "m.room.topic", {"topic": each}, "", prev=[first.event_id]) for each in (MALLORY, BOB)]
    for event in fork:
        room.add(event)
    room.send(MALLORY, "both", redacts=None)
    assert len(room.events) == 10
    for event in room.events.values():
        if event not in fork:
            is_allowed(room, event)
    checks = PduChecks(KnownKeys({"peer.example": signing_key(2), "b.example": signing_key(3)}))
    pdus = [each.pdu for each in room.events.values()]
    # KnownKeys know keys for early events only.
    if not ROOM_VERSIONS[version].enforce_key_validity:
        assert len(kept(await checks(pdus, room.version, room_id=room.room_id))) == 10


async def test_the_server_answers_about_its_rooms(us: Us, peer: Peer) -> None:
    mallory = ForeignServer(peer)
    room = mallory.host(room_with_bob("3"))
    events = [room.send(BOB, str(number)) for number in range(5)]
    get = us.client.get
    answer = await get("peer.example", request_uri(f"{V1}/event", events[2].event_id))
    assert answer["pdus"] == [events[2].pdu]
    answer = await get(
        "peer.example", request_uri(f"{V1}/state_ids", room.room_id, query={"event_id": events[0].event_id})
    )
    assert set(answer["pdu_ids"]) == set(room.state.values())
    answer = await get(
        "peer.example", request_uri(f"{V1}/backfill", room.room_id, query={"v": events[4].event_id, "limit": "3"})
    )
    assert answer["pdus"] == [each.pdu for each in events[:1:-1]]
    body = {"earliest_events": [events[0].event_id], "latest_events": [events[4].event_id], "limit": 9}
    answer = await us.client.post("peer.example", request_uri(f"{V1}/get_missing_events", room.room_id), body)
    assert answer["events"] == [each.pdu for each in events[1:4]]
    made = await get("peer.example", request_uri(f"{V1}/make_join", room.room_id, "@carol:us.example"))
    room.keys["us.example"] = signing_key(1, "us")
    join = room.finish(made["event"], "us.example")
    uri = request_uri("/_matrix/federation/v2/send_join", room.room_id, join.event_id)
    answer = await us.client.put("peer.example", uri, join.pdu)
    mirror = ForeignRoom.mirror("3", join.pdu, answer["state"], answer["auth_chain"], {"us.example": signing_key(1)})
    assert mirror.state == room.state
    is_allowed(room, join)
