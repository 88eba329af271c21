"""Bob's server hands in joins, knocks and leaves at alpha; Mallory tries everything else."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.federation.client import request_uri
from homeserver.protocol.builder import hash_and_sign
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import sign_event, verify_event
from tests.federation.asker import member, stores
from tests.federation.conftest import ALPHA, Home
from tests.federation.doors import EVERY_VERSION, allowing, hand_in, made, make, open_room
from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Peer, signing_key

BOB = "@bob:peer.example"
CAROL = "@carol:peer.example"
REFUSED = (403, "M_FORBIDDEN")
WRONG = (400, "M_INVALID_PARAM")


@pytest.fixture
def bob(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


def changed(event: Event, home: ForeignServer, **changes: Any) -> Event:
    """Another event like this one, hashed and signed anew."""
    return hash_and_sign({**event.pdu, **changes}, event.room_version, home.name, home.key)


async def membership_of(home: Home, room_id: str, user_id: str) -> str:
    return (await home.server.application.base.cache.get(room_id)).membership(user_id)


# --- Coming in ---


@pytest.mark.parametrize("version", EVERY_VERSION)
async def test_bob_joins_and_gets_the_room(alpha: Home, bob: ForeignServer, version: str) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version=version, name="hall")
    await alice.send(room_id, "hello")
    room = await alpha.server.application.base.cache.get(room_id)
    before = {event.event_id for event in room.state}
    join = await made(bob, alpha, "join", room_id, BOB, displayname="Bob")
    answer = await hand_in(bob, alpha, join)
    assert (answer["origin"], answer["members_omitted"]) == (ALPHA, False)
    verify_event(answer["event"], join.room_version, ALPHA, "ed25519:key1", signing_key(11, "key1").verify_key)
    mirror = ForeignRoom.mirror(version, answer["event"], answer["state"], answer["auth_chain"], {bob.name: bob.key})
    assert set(mirror.state.values()) - {join.event_id} == before
    assert mirror.room_id == room_id
    assert await membership_of(alpha, room_id, BOB) == "join"
    shown = (await alice.sync()).timeline(room_id)[-1]
    assert (shown["event_id"], shown["state_key"]) == (join.event_id, BOB)


@pytest.mark.parametrize("query", ["", "?omit_members=true"])
@pytest.mark.parametrize("version", ["2", "11", "12"])
async def test_all_that_allowed_the_state_is_told(alpha: Home, bob: ForeignServer, version: str, query: str) -> None:
    """Also what is no state any more: memberships and power levels of before."""
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version=version)
    await stores(alpha.server, room_id, member(CAROL, "join"))
    for number in range(3):
        await alice.set_state(
            room_id, "m.room.member", {"membership": "join", "displayname": str(number)}, alice.user_id
        )
        levels = await alice.state(room_id, "m.room.power_levels")
        await alice.set_state(room_id, "m.room.power_levels", {**levels, "invite": number})
    join = await made(bob, alpha, "join", room_id, BOB)
    answer = await hand_in(bob, alpha, join, query=query)
    pdus = [*answer["state"], *answer["auth_chain"], answer["event"]]
    # Whoever takes them one by one knows what each is authorised by, and ends with what is in force.
    depths = [pdu["depth"] for pdu in answer["auth_chain"]]
    assert depths == sorted(depths)
    events = {event.event_id: event for event in (Event.from_pdu(each, join.room_version) for each in pdus)}
    cited = {event_id for event in events.values() for event_id in event.auth_event_ids}
    assert cited <= set(events)


async def test_the_old_form_comes_in_a_pair(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    status, answer = await pair(bob, alpha, join)
    assert (status, answer["origin"]) == (200, ALPHA)
    assert {each["type"] for each in answer["state"]} >= {"m.room.create", "m.room.member", "m.room.power_levels"}
    status, answer = await pair(bob, alpha, await made(bob, alpha, "leave", room_id, BOB))
    assert (status, answer) == (200, {})
    assert await membership_of(alpha, room_id, BOB) == "leave"


async def pair(bob: ForeignServer, alpha: Home, event: Event) -> Any:
    uri = request_uri(f"{V1}/send_{event.content['membership']}", event.room_id, event.event_id)
    return (await bob.raw(alpha.server, "PUT", uri, event.pdu, check=False)).json()


async def test_a_repeated_join_gets_the_same_answer(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    first = await hand_in(bob, alpha, join)
    await alice.send(room_id, "meanwhile")
    again = await hand_in(bob, alpha, join)
    assert by_id(again["state"]) == by_id(first["state"])
    assert again["event"] == first["event"]


def by_id(pdus: list[dict[str, Any]]) -> set[str]:
    return {str((each["type"], each["state_key"], each["origin_server_ts"])) for each in pdus}


async def test_members_can_be_left_out(alpha: Home, bob: ForeignServer) -> None:
    """Of a room without a name its heroes are told; of one with a name nobody."""
    alice = await alpha.server.register("alice")
    named, nameless = await open_room(alice, name="hall"), await open_room(alice)
    others = [f"@user{number}:other{number % 2}.example" for number in range(9)]
    for room_id in (named, nameless):
        await stores(alpha.server, room_id, *[member(user_id, "join") for user_id in others])
        answer = await hand_in(
            bob, alpha, await made(bob, alpha, "join", room_id, BOB), query="?omit_members=true"
        )  # fmt: skip
        assert answer["members_omitted"] is True
        assert answer["servers_in_room"] == [ALPHA, "other0.example", "other1.example"]
        told = [each["state_key"] for each in answer["state"] if each["type"] == "m.room.member"]
        assert sorted(told) == ([] if room_id == named else [alice.user_id, *others[:4]])
        # What allowed the state is there: Alice, who has made the room.
        together = [*answer["state"], *answer["auth_chain"]]
        assert sum(each["type"] == "m.room.member" and each["state_key"] == alice.user_id for each in together) == 1
        assert sum(each["type"] == "m.room.create" for each in together) == 1


async def test_others_are_told_of_whom_we_let_in(alpha: Home, bob: ForeignServer) -> None:
    told: list[str] = []
    alpha.server.application.doors.forwarding.on_admitted(lambda event: told.append(event.event_id))
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    await hand_in(bob, alpha, join)
    await hand_in(bob, alpha, join)
    leave = await made(bob, alpha, "leave", room_id, BOB)
    await hand_in(bob, alpha, leave)
    assert told == [join.event_id, leave.event_id]


async def test_a_room_keeps_going_after_a_join(alpha: Home, bob: ForeignServer) -> None:
    """What Alice says next is built on Bob's join, and what Bob's server says on it is heard."""
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    room = await bob.join(alpha.server, room_id, BOB)
    hello = room.send(BOB, "hello")
    assert await bob.send(alpha.server, [hello]) == {hello.event_id: {}}
    await alice.send(room_id, "hello Bob")
    assert [each["content"].get("body") for each in (await alice.sync()).timeline(room_id)[-2:]] == [
        "hello",
        "hello Bob",
    ]


# --- Restricted rooms ---


async def club_and_room(alpha: Home) -> tuple[Any, str, str]:
    alice = await alpha.server.register("alice")
    club, room_id = await open_room(alice), await open_room(alice)
    await alice.set_state(room_id, "m.room.join_rules", allowing(club))
    await stores(alpha.server, club, member(BOB, "join"))
    return alice, club, room_id


async def test_our_signature_lets_a_member_of_the_club_in(alpha: Home, bob: ForeignServer) -> None:
    alice, _, room_id = await club_and_room(alpha)
    join = await made(bob, alpha, "join", room_id, BOB)
    assert join.content["join_authorised_via_users_server"] == alice.user_id
    answer = await hand_in(bob, alpha, join)
    assert set(answer["event"]["signatures"]) == {ALPHA, bob.name}
    stored = await alpha.server.application.foreign.pdus.pdus([join.event_id])
    assert set(stored[join.event_id]["signatures"]) == {ALPHA, bob.name}
    assert await membership_of(alpha, room_id, BOB) == "join"


async def test_who_leaves_the_club_in_between_gets_no_signature(alpha: Home, bob: ForeignServer) -> None:
    _, club, room_id = await club_and_room(alpha)
    join = await made(bob, alpha, "join", room_id, BOB)
    await stores(alpha.server, club, member(BOB, "leave"))
    await hand_in(bob, alpha, join, expect=REFUSED)
    assert await membership_of(alpha, room_id, BOB) == "leave"


async def test_mallory_vouches_for_herself(alpha: Home, bob: ForeignServer) -> None:
    _, _, room_id = await club_and_room(alpha)
    join = await made(bob, alpha, "join", room_id, BOB)
    for authoriser in (BOB, CAROL, "@nobody:other.example", 7, None):
        content = {"membership": "join", "join_authorised_via_users_server": authoriser}
        await hand_in(bob, alpha, changed(join, bob, content=content), expect=REFUSED)
    # For Carol, who is in no club, in the name of Alice; and in that of somebody who is not there.
    template = {**join.pdu, "sender": CAROL, "state_key": CAROL}
    await hand_in(bob, alpha, changed(join, bob, **template), expect=REFUSED)
    nobody = {"membership": "join", "join_authorised_via_users_server": "@nobody:alpha.example"}
    await hand_in(bob, alpha, changed(join, bob, content=nobody), expect=(400, "M_UNABLE_TO_GRANT_JOIN"))
    await hand_in(bob, alpha, changed(join, bob, content={"membership": "join"}), expect=REFUSED)


# --- Mallory hands in what is no join of hers ---


async def test_only_ones_own_join_is_taken(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id, other_room = await open_room(alice), await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    somebody = "@eve:other.example"
    attempts: list[tuple[Event, dict[str, Any], Any]] = [
        (changed(join, bob, state_key=CAROL), {}, WRONG),
        (changed(join, bob, sender=somebody, state_key=somebody), {}, REFUSED),
        (changed(join, bob, sender=alice.user_id, state_key=alice.user_id), {}, REFUSED),
        (changed(join, bob, type="m.room.topic", content={"topic": "mine"}), {"membership": "join"}, WRONG),
        (changed(join, bob, type="m.room.topic"), {}, WRONG),
        (changed(join, bob, content={"membership": "ban"}), {"membership": "join"}, WRONG),
        (changed(join, bob, content={"membership": "invite"}), {"membership": "join"}, WRONG),
        (changed(join, bob, content={"membership": ["join"]}), {"membership": "join"}, WRONG),
        (changed(join, bob, room_id=other_room), {"room_id": room_id}, WRONG),
        (join, {"room_id": other_room}, WRONG),
        (join, {"event_id": "$" + "a" * 43}, WRONG),
        (join, {"membership": "leave"}, WRONG),
        (join, {"membership": "knock"}, WRONG),
    ]
    for event, how, expect in attempts:
        await hand_in(bob, alpha, event, expect=expect, **how)
    for user_id in (BOB, CAROL, somebody):
        assert await membership_of(alpha, room_id, user_id) == "leave"
        assert await membership_of(alpha, other_room, user_id) == "leave"


async def test_a_join_must_be_signed_and_unchanged(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    version, pdu = join.room_version, join.pdu
    unsigned = {**pdu, "signatures": {}}
    wrong_key = sign_event(unsigned, version, bob.name, signing_key(77, bob.key.version))
    unknown_key = sign_event(unsigned, version, bob.name, signing_key(77, "unknown"))
    of_another = sign_event(unsigned, version, "other.example", bob.key)
    forged = {**pdu, "signatures": {ALPHA: {"ed25519:key1": "A" * 86}}}
    renamed = {**pdu, "content": {"membership": "join", "displayname": "Alice"}}
    for each in (unsigned, wrong_key, unknown_key, of_another, forged):
        await hand_in(bob, alpha, join, pdu=each, expect=REFUSED)
    await hand_in(bob, alpha, join, pdu=renamed, expect=WRONG)
    assert await membership_of(alpha, room_id, BOB) == "leave"


@pytest.mark.parametrize(
    "changes",
    [
        {"auth_events": ["$" + "a" * 43] * 20_000},
        {"prev_events": [f"${'b' * 40}{number:03}" for number in range(500)]},
        {"depth": -1},
        {"depth": 2**63},
        {"depth": "1"},
        {"origin_server_ts": None},
        {"hashes": []},
        {"hashes": {"sha256": 7}},
        {"signatures": [7]},
        {"signatures": {"alpha.example": 7}},
        {"auth_events": {}},
        {"prev_events": [[]]},
        {"content": []},
        {"content": {"membership": "join", "x": "y" * 70_000}},
        {"state_key": None},
        {"sender": 7},
    ],
)
async def test_what_is_no_event_is_refused(alpha: Home, bob: ForeignServer, changes: dict[str, Any]) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    await hand_in(bob, alpha, join, pdu={**join.pdu, **changes}, expect={400, 403, 413})


async def test_an_event_of_another_version_is_none(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    new, old = await open_room(alice, version="10"), await open_room(alice, version="2")
    join = await made(bob, alpha, "join", new, BOB)
    as_old = hash_and_sign({**join.pdu, "auth_events": [], "prev_events": []}, ROOM_VERSIONS["2"], bob.name, bob.key)
    await hand_in(bob, alpha, as_old, expect={"M_INVALID_PARAM", "M_FORBIDDEN"})
    in_old = await made(bob, alpha, "join", old, BOB)
    as_new = hash_and_sign({**in_old.pdu}, ROOM_VERSIONS["10"], bob.name, bob.key)
    await hand_in(bob, alpha, as_new, expect={"M_BAD_JSON", "M_INVALID_PARAM"})


async def test_a_join_from_before_the_ban_comes_too_late(alpha: Home, bob: ForeignServer) -> None:
    """Where it stands in the graph it is allowed, but the room has moved on: "soft-failed"."""
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    await alice.ban(room_id, BOB)
    for _ in range(2):
        await hand_in(bob, alpha, join, expect=REFUSED)
    assert await membership_of(alpha, room_id, BOB) == "ban"


async def test_a_closed_room_takes_no_join(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    await alice.set_state(room_id, "m.room.join_rules", {"join_rule": "invite"})
    await hand_in(bob, alpha, join, expect=REFUSED)
    # Citing the rules of before, on top of the room as it is now.
    room = await alpha.server.application.base.cache.get(room_id)
    later = changed(join, bob, prev_events=list(room.tip.extremities), depth=room.tip.depth + 1)
    await hand_in(bob, alpha, later, expect=REFUSED)
    assert await membership_of(alpha, room_id, BOB) == "leave"


async def test_the_acl_counts_when_the_event_comes(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    join = await made(bob, alpha, "join", room_id, BOB)
    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.*"]})
    await hand_in(bob, alpha, join, expect=REFUSED)


async def test_rooms_that_are_not_ours_take_nobody(alpha: Home, bob: ForeignServer) -> None:
    lair = bob.host(ForeignRoom.create("10"))
    join = lair.build(BOB, "m.room.member", {"membership": "join"}, BOB)
    await hand_in(bob, alpha, join, expect=(404, "M_NOT_FOUND"))


# --- Knocks and leaves ---


@pytest.mark.parametrize(("version", "rule"), [("7", "knock"), ("10", "knock_restricted"), ("12", "knock")])
async def test_bob_knocks_and_is_shown_the_room(alpha: Home, bob: ForeignServer, version: str, rule: str) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version=version, join_rule=rule, name="hall")
    knock = await made(bob, alpha, "knock", room_id, BOB, reason="let me in")
    shown = (await hand_in(bob, alpha, knock))["knock_room_state"]
    by_type = {each["type"]: each for each in shown}
    assert by_type["m.room.name"]["content"] == {"name": "hall"}
    assert by_type["m.room.create"]["sender"] == alice.user_id
    assert all({"hashes", "signatures", "auth_events"} <= set(each) for each in shown)
    assert "m.room.power_levels" not in by_type
    assert await membership_of(alpha, room_id, BOB) == "knock"
    await hand_in(bob, alpha, await made(bob, alpha, "leave", room_id, BOB))
    assert await membership_of(alpha, room_id, BOB) == "leave"


async def test_knocks_are_heard_where_the_rules_say_so(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, join_rule="knock")
    knock = await made(bob, alpha, "knock", room_id, BOB)
    await alice.set_state(room_id, "m.room.join_rules", {"join_rule": "invite"})
    await hand_in(bob, alpha, knock, expect=REFUSED)
    assert await membership_of(alpha, room_id, BOB) == "leave"


async def test_an_invitation_is_declined(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, join_rule="invite")
    await stores(alpha.server, room_id, member(BOB, "invite", alice.user_id))
    leave = await made(bob, alpha, "leave", room_id, BOB, reason="no time")
    assert await hand_in(bob, alpha, leave) == {}
    assert await membership_of(alpha, room_id, BOB) == "leave"
    await make(bob, alpha, "join", room_id, BOB, expect=REFUSED)


async def test_nobody_is_thrown_out_on_this_way(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    await bob.join(alpha.server, room_id, BOB)
    leave = await made(bob, alpha, "leave", room_id, BOB)
    await hand_in(bob, alpha, changed(leave, bob, state_key=alice.user_id), expect=WRONG)
    kick = changed(leave, bob, content={"membership": "ban"}, state_key=alice.user_id)
    await hand_in(bob, alpha, kick, membership="leave", expect=WRONG)
    assert await membership_of(alpha, room_id, alice.user_id) == "join"
