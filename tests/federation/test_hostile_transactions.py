"""Mallory runs peer.example and knows the protocol: what she sends to alpha gets her nowhere."""

from __future__ import annotations

import time
from typing import Any

import pytest

from homeserver.federation.incoming.gaps import MAX_CALLS
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import sign_event
from homeserver.services.foreign_events.outcomes import Standing
from tests.cast import Client
from tests.clock import START_MS, FakeClock
from tests.federation.asker import member, stores
from tests.federation.conftest import Home
from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, key_document, signing_key
from tests.federation.shared_rooms import mirrored, shared_room

MALLORY = "@mallory:peer.example"
MAX_DEPTH = 2**53 - 1


@pytest.fixture
def mallory(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


async def bodies(alice: Client, room: ForeignRoom) -> list[Any]:
    """What Alice sees, from the beginning."""
    answer = await alice.messages(room.room_id, limit=100)
    return [each["content"].get("body") for each in reversed(answer["chunk"]) if each["type"] == "m.room.message"]


async def refused(mallory: ForeignServer, alpha: Home, *events: Event | dict[str, Any]) -> None:
    """Each of them is answered with an error, or not at all; or it is not allowed, which needs no answer."""
    answer = await mallory.send(alpha.server, events)
    handled = [event_id for event_id, each in answer.items() if not each.get("error")]
    standings = await alpha.server.application.foreign.standings(handled)
    assert all(standings.get(each, Standing.REJECTED) is Standing.REJECTED for each in handled), (answer, standings)


# --- Whose events ---


async def test_she_cannot_speak_for_alice(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    room.keys["alpha.example"] = mallory.key
    forged = room.build(alice.user_id, "m.room.message", {"body": "I, Alice"})
    both = sign_event(forged.pdu, room.version, "peer.example", mallory.key)
    nobody = {**forged.pdu, "signatures": {"peer.example": forged.pdu["signatures"]["alpha.example"]}}
    leave = room.build(alice.user_id, "m.room.member", {"membership": "leave"}, alice.user_id)
    await refused(mallory, alpha, forged, both, nobody, leave)
    assert await bodies(alice, room) == []
    assert (await alice.state(room.room_id, "m.room.member", alice.user_id))["membership"] == "join"


async def test_she_cannot_bring_people_in_or_throw_them_out(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    dave = await alpha.server.register("dave")
    await dave.join(room.room_id)
    room = await mirrored(alpha, mallory, room.room_id)
    eve = "@eve:peer.example"
    attempts = [
        room.build(MALLORY, "m.room.member", {"membership": "join"}, eve),
        room.build(MALLORY, "m.room.member", {"membership": "leave"}, dave.user_id),
        room.build(MALLORY, "m.room.member", {"membership": "ban"}, dave.user_id),
        room.build(MALLORY, "m.room.member", {"membership": "ban"}, alice.user_id),
        room.build(MALLORY, "m.room.member", {"membership": "nonsense"}, MALLORY),
        room.build(MALLORY, "m.room.member", {}, MALLORY),
        room.build(MALLORY, "m.room.member", {"membership": "join"}, "not a user id"),
        room.build(MALLORY, "m.room.power_levels", {"users": {MALLORY: 100}}, ""),
        room.build(MALLORY, "m.room.power_levels", {"users": {alice.user_id: 100, MALLORY: 100}}, ""),
        room.build(MALLORY, "m.room.create", {"room_version": "10", "creator": MALLORY}, ""),
        room.build(MALLORY, "m.room.join_rules", {"join_rule": "invite"}, ""),
    ]
    await refused(mallory, alpha, *attempts)
    joined = await alice.get(("rooms", room.room_id, "joined_members"))
    assert set(joined["joined"]) == {alice.user_id, dave.user_id, MALLORY}


async def test_she_cannot_join_a_room_without_an_invitation(alpha: Home, mallory: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await alice.create_room(preset="private_chat", room_version="10")
    room = await mirrored(alpha, mallory, room_id)
    join = room.build(MALLORY, "m.room.member", {"membership": "join"}, MALLORY)
    invite_then_join = room.build(MALLORY, "m.room.member", {"membership": "invite"}, "@eve:peer.example")
    await refused(mallory, alpha, join, invite_then_join)
    await refused(mallory, alpha, room.build(MALLORY, "m.room.message", {"body": "hi"}, prev=[join.event_id]))
    assert await bodies(alice, room) == []


# --- What they are authorised by ---


async def test_authority_from_another_room_counts_for_nothing(alpha: Home, mallory: ForeignServer) -> None:
    """In her own room Mallory may do everything; Alice is there too."""
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    hers = await alice.create_room(preset="public_chat", room_version="10")
    await stores(alpha.server, hers, member(MALLORY, "join"))
    await alice.set_state(hers, "m.room.power_levels", {"users": {alice.user_id: 100, MALLORY: 100}})
    lair = await mirrored(alpha, mallory, hers)
    elsewhere = [
        lair.state[key] for key in (("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", MALLORY))
    ]
    for prev in (room.tip, lair.tip):
        await refused(
            mallory, alpha, room.build(MALLORY, "m.room.topic", {"topic": "mine"}, "", prev=prev, auth=elsewhere)
        )
    # And an event of one room is none of the other.
    moved = lair.build(MALLORY, "m.room.topic", {"topic": "mine"}, "", room_id=room.room_id)
    await refused(mallory, alpha, moved, {**moved.pdu, "room_id": hers})
    for room_id in (room.room_id, hers):
        await alice.state(room_id, "m.room.topic", expect=404)


async def test_odd_auth_events(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    message = room.send(MALLORY, "fine")
    await mallory.send(alpha.server, [message])
    good = list(room.build(MALLORY, "m.room.message", {}).auth_event_ids)
    for auth in (
        [],
        good[:1],
        good[1:],
        [*good, good[0]],
        [*good, message.event_id],
        [*good, room.state["m.room.history_visibility", ""]],
        ["$nothing"] * 10,
    ):
        await refused(mallory, alpha, room.build(MALLORY, "m.room.message", {"body": "bad"}, auth=auth))
    assert await bodies(alice, room) == ["fine"]


async def test_events_in_the_form_of_other_versions(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    for version in ("1", "12"):
        other = ForeignRoom.create(version, MALLORY)
        other.room_id = room.room_id
        foreign = other.send(MALLORY, "hello")
        await refused(mallory, alpha, foreign)
    pairs = {**room.build(MALLORY, "m.room.message", {}).pdu, "prev_events": [[room.tip[0], {}]]}
    await refused(mallory, alpha, pairs)
    assert await bodies(alice, room) == []


# --- Time ---


async def test_backdated_events_after_a_ban_are_not_shown(alpha: Home, mallory: ForeignServer) -> None:
    """Allowed where they claim to stand, but not by what the room is now: soft-failed."""
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    before = list(room.tip)
    await alice.ban(room.room_id, MALLORY)
    await alice.sync()
    backdated = room.build(MALLORY, "m.room.message", {"body": "I was faster"}, prev=before, at_ms=START_MS)
    rename = room.build(MALLORY, "m.room.member", {"membership": "join", "displayname": "M"}, MALLORY, prev=before)
    leave = room.build(MALLORY, "m.room.member", {"membership": "leave"}, MALLORY, prev=before)
    back = room.build(MALLORY, "m.room.member", {"membership": "join"}, MALLORY, prev=[leave.event_id], depth=99)
    for events in ([backdated], [rename], [leave, back]):
        await mallory.send(alpha.server, events)
    assert (await alice.sync()).timeline(room.room_id) == []
    assert await bodies(alice, room) == []
    assert (await alice.state(room.room_id, "m.room.member", MALLORY))["membership"] == "ban"
    # What Alice writes is not built on any of it.
    event_id = await alice.send(room.room_id, "gone")
    (event,) = (await alpha.server.application.foreign.pdus.events([event_id])).values()
    assert not {backdated.event_id, rename.event_id, back.event_id}.intersection(event.prev_event_ids)


async def test_a_race_for_power_is_won_by_who_has_more(alpha: Home, mallory: ForeignServer) -> None:
    """Mallory was a moderator; as Alice takes that away, Mallory claims to have made Eve one just before."""
    alice, room = await shared_room(alpha, mallory, (MALLORY, "@eve:peer.example"))
    levels = await alice.state(room.room_id, "m.room.power_levels")
    await alice.set_state(room.room_id, "m.room.power_levels", {**levels, "users": {alice.user_id: 100, MALLORY: 50},
                                                               "events": {}, "state_default": 50})  # fmt: skip
    room = await mirrored(alpha, mallory, room.room_id)
    before = list(room.tip)
    await alice.set_state(room.room_id, "m.room.power_levels", {**levels, "users": {alice.user_id: 100}})
    users = {alice.user_id: 100, MALLORY: 50, "@eve:peer.example": 50}
    promoted = room.build(MALLORY, "m.room.power_levels", {"users": users}, "", prev=before, at_ms=START_MS - 1000)
    topic = room.build(MALLORY, "m.room.topic", {"topic": "mine"}, "", prev=before, at_ms=START_MS - 500)
    await mallory.send(alpha.server, [promoted, topic])
    assert (await alice.state(room.room_id, "m.room.power_levels"))["users"] == {alice.user_id: 100}
    await alice.state(room.room_id, "m.room.topic", expect=404)


async def test_depth_at_its_end_does_not_end_the_room(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    deep = room.send(MALLORY, "deep", depth=MAX_DEPTH)
    assert await mallory.send(alpha.server, [deep]) == {deep.event_id: {}}
    event_id = await alice.send(room.room_id, "reply")
    (reply,) = (await alpha.server.application.foreign.pdus.events([event_id])).values()
    assert (reply.depth, reply.prev_event_ids) == (MAX_DEPTH, (deep.event_id,))
    for depth in (MAX_DEPTH + 1, 2**63, -1, 1.5, "1", None, True):
        await refused(mallory, alpha, {**room.build(MALLORY, "m.room.message", {}).pdu, "depth": depth})
    assert await bodies(alice, room) == ["deep", "reply"]


# --- Without end ---


async def test_a_past_without_end_ends_for_us(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    chain = [room.build(MALLORY, "m.room.message", {"n": 0}, prev=["$none"], depth=1_000)]
    for step in range(1, 1_500):
        content = {"body": str(step)}
        chain.append(room.build(MALLORY, "m.room.message", content, prev=[chain[-1].event_id], depth=1_000 + step))
    numbers = {event.event_id: number for number, event in enumerate(chain)}

    def give(asked: Asked) -> Any:
        lowest = min(numbers[each] for each in asked.body["latest_events"])
        return {"events": [each.pdu for each in chain[lowest - 20 : lowest]]}

    mallory.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", give)
    await refused(mallory, alpha, chain[-1])
    asked = [each for each in mallory.peer.paths() if "get_missing_events" in each]
    assert len(asked) == MAX_CALLS
    assert len(mallory.peer.heard) < MAX_CALLS + 5
    fine = room.send(MALLORY, "fine")
    assert await mallory.send(alpha.server, [fine]) == {fine.event_id: {}}
    assert await bodies(alice, room) == ["fine"]


async def test_a_full_transaction_of_large_events_is_dealt_with(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    events = [room.send(MALLORY, "x" * 60_000 + str(number)) for number in range(50)]
    started_s = time.monotonic()
    assert await mallory.send(alpha.server, events) == {event.event_id: {} for event in events}
    assert time.monotonic() - started_s < 5
    too_large = room.build(MALLORY, "m.room.message", {"body": "x" * 64_000})
    await refused(mallory, alpha, {**too_large.pdu, "more": "x" * 2_000})
    assert len(await bodies(alice, room)) == 50


async def test_wide_events_are_received_in_any_order(alpha: Home, mallory: ForeignServer) -> None:
    """Twenty branches, all built on by one event, upside down."""
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    tip = list(room.tip)
    branches = [room.add(room.build(MALLORY, "m.room.message", {"body": str(n)}, prev=tip)) for n in range(20)]
    joint = room.send(MALLORY, "joint")
    answer = await mallory.send(alpha.server, [joint, *reversed(branches)])
    assert answer == {event.event_id: {} for event in (joint, *branches)}
    seen = await bodies(alice, room)
    assert (len(seen), seen[-1]) == (21, "joint")
    event_id = await alice.send(room.room_id, "after")
    (after,) = (await alpha.server.application.foreign.pdus.events([event_id])).values()
    assert after.prev_event_ids == (joint.event_id,)


# --- Texts and numbers ---


async def test_what_cannot_be_stored_is_dropped(alpha: Home, mallory: ForeignServer) -> None:
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    await refused(
        mallory,
        alpha,
        room.build(MALLORY, "a\0b", {}),
        room.build(MALLORY, "m.room.topic", {}, "\0"),
        {**room.build(MALLORY, "m.room.message", {}).pdu, "prev_events": ["$\0"]},
        {**room.build(MALLORY, "m.room.message", {}).pdu, "auth_events": ["$\0"]},
        {**room.build(MALLORY, "m.room.message", {}).pdu, "sender": "@\0:peer.example"},
    )
    inside = room.send(MALLORY, {"body": "NUL \0 inside"})
    late = room.send(MALLORY, "late", at_ms=2**53 - 1)
    early = room.send(MALLORY, "early", at_ms=-(2**53) + 1)
    answer = await mallory.send(alpha.server, [inside, late, early])
    assert answer.keys() == {inside.event_id, late.event_id, early.event_id}
    # A key is not valid in the far future.
    assert answer[late.event_id]["error"]
    assert (await alice.sync()).event_ids(room.room_id)[-1] == inside.event_id


# --- Keys ---


async def test_a_key_that_was_given_up_signs_no_new_events(
    alpha: Home, mallory: ForeignServer, clock: FakeClock
) -> None:
    """Mallory has stolen a key that the server of Bob has since replaced."""
    alice, room = await shared_room(alpha, mallory, (MALLORY,))
    old, new = mallory.key, signing_key(9, "new")
    first = room.send(MALLORY, "first")
    assert await mallory.send(alpha.server, [first]) == {first.event_id: {}}
    clock.advance(hours=1)
    gone = {old.key_id: {"key": encode_base64(old.verify_key), "expired_ts": clock.now_ms()}}
    clock.advance(hours=24)
    later_ms = clock.now_ms() + 60 * 60_000
    document = key_document("peer.example", new, valid_until_ms=later_ms, old_verify_keys=gone)
    mallory.peer.says("/_matrix/key/v2/server", document)
    mallory.key = new
    await mallory.send(alpha.server, [])
    stolen = room.build(MALLORY, "m.room.message", {"body": "stolen"}, key=old, at_ms=clock.now_ms())
    await refused(mallory, alpha, stolen)
    assert await bodies(alice, room) == ["first"]
