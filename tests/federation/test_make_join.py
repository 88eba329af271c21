"""Bob's server asks alpha how its user could join, knock or leave: templates, and who gets none."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.federation.client import request_uri
from homeserver.protocol.auth import check_state_dependent
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.federation.asker import member, stores
from tests.federation.conftest import ALPHA, Home
from tests.federation.doors import EVERY_VERSION, allowing, make, open_room
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Peer

BOB = "@bob:peer.example"
CAROL = "@carol:peer.example"


@pytest.fixture
def bob(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


def is_template(event: dict[str, Any], user_id: str, membership: str) -> None:
    assert event["type"] == "m.room.member"
    assert event["sender"] == event["state_key"] == user_id
    assert event["content"]["membership"] == membership
    assert not {"hashes", "signatures", "event_id", "unsigned"} & set(event)


@pytest.mark.parametrize("version", EVERY_VERSION)
async def test_a_template_stands_on_the_tip_and_is_allowed(alpha: Home, bob: ForeignServer, version: str) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version=version)
    last = await alice.send(room_id, "hello")
    answer = await make(bob, alpha, "join", room_id, BOB)
    event, rules = answer["event"], ROOM_VERSIONS[version]
    is_template(event, BOB, "join")
    assert answer["room_version"] == version
    assert (event["room_id"], event["origin"]) == (room_id, ALPHA)
    finished = Event.from_pdu(event, rules, "$x")
    assert finished.prev_event_ids == (last,)
    room = await alpha.server.application.base.cache.get(room_id)
    assert finished.depth == room.tip.depth + 1
    check_state_dependent(finished, rules, room.fetch_auth_event)
    cited = {room.state.get(kind).event_id for kind in ("m.room.power_levels", "m.room.join_rules")}  # type: ignore[union-attr]
    if rules.create_event_is_auth_event:
        cited.add(room.state.get("m.room.create").event_id)  # type: ignore[union-attr]
    assert set(finished.auth_event_ids) == cited


async def test_the_other_server_has_to_know_the_room_version(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version="11")
    for versions in (("1", "10", "12"), ()):  # none: "Defaults to [1]"
        answer = await make(
            bob, alpha, "join", room_id, BOB, versions=versions, expect=(400, "M_INCOMPATIBLE_ROOM_VERSION")
        )
        assert answer["room_version"] == "11"
    oldest = await open_room(alice, version="1")
    await make(bob, alpha, "join", oldest, BOB, versions=())


async def test_a_server_asks_for_its_own_users_only(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version="10", join_rule="knock")
    for membership in ("join", "knock", "leave"):
        for user_id in ("@eve:other.example", alice.user_id, "@bob:peer.example:8448", "bob", "@bob:PEER.example", "@"):
            await make(bob, alpha, membership, room_id, user_id, expect=(403, "M_FORBIDDEN"))


async def test_rooms_that_nobody_of_ours_is_in_are_not_found(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    left = await open_room(alice)
    await alice.leave(left)
    for room_id in (left, "!nowhere:alpha.example", "!" + "a" * 43, "not a room"):
        for membership in ("join", "knock", "leave"):
            await make(bob, alpha, membership, room_id, BOB, expect=(404, "M_NOT_FOUND"))


async def test_nobody_is_told_how_to_join_a_room_that_is_closed_to_him(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    private = await open_room(alice, join_rule="invite")
    await make(bob, alpha, "join", private, BOB, expect=(403, "M_FORBIDDEN"))
    await stores(alpha.server, private, member(BOB, "invite", alice.user_id))
    is_template((await make(bob, alpha, "join", private, BOB))["event"], BOB, "join")
    public = await open_room(alice)
    await alice.ban(public, BOB)
    await make(bob, alpha, "join", public, BOB, expect=(403, "M_FORBIDDEN"))
    await make(bob, alpha, "join", public, CAROL)


async def test_a_room_that_is_not_federated_is_closed(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, creation_content={"m.federate": False})
    await make(bob, alpha, "join", room_id, BOB, expect=(403, "M_FORBIDDEN"))
    await make(bob, alpha, "leave", room_id, BOB, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("denied", ["peer.example", "PEER.example", "p*.example", "pee?.example"])
async def test_the_acl_keeps_a_server_out_however_it_is_written(alpha: Home, bob: ForeignServer, denied: str) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    await make(bob, alpha, "join", room_id, BOB)
    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": [denied]})
    for membership in ("join", "knock", "leave"):
        await make(bob, alpha, membership, room_id, BOB, expect=(403, "M_FORBIDDEN"))


# --- Restricted rooms ---


async def restricted(alpha: Home, version: str = "10", rule: str = "restricted") -> tuple[Any, str, str]:
    """Alice, her club, and the room that its members may join."""
    alice = await alpha.server.register("alice")
    club = await open_room(alice)
    room_id = await open_room(alice, version=version)
    await alice.set_state(room_id, "m.room.join_rules", allowing(club, rule=rule))
    return alice, club, room_id


@pytest.mark.parametrize(("version", "rule"), [("8", "restricted"), ("10", "knock_restricted"), ("12", "restricted")])
async def test_we_vouch_for_members_of_the_club(alpha: Home, bob: ForeignServer, version: str, rule: str) -> None:
    alice, club, room_id = await restricted(alpha, version, rule)
    await make(bob, alpha, "join", room_id, BOB, expect=(403, "M_FORBIDDEN"))
    await stores(alpha.server, club, member(BOB, "join"))
    event = (await make(bob, alpha, "join", room_id, BOB))["event"]
    assert event["content"] == {"membership": "join", "join_authorised_via_users_server": alice.user_id}
    room = await alpha.server.application.base.cache.get(room_id)
    assert room.state.get("m.room.member", alice.user_id).event_id in str(event["auth_events"])  # type: ignore[union-attr]


async def test_nobody_vouches_for_the_invited(alpha: Home, bob: ForeignServer) -> None:
    alice, _, room_id = await restricted(alpha)
    await stores(alpha.server, room_id, member(BOB, "invite", alice.user_id))
    assert (await make(bob, alpha, "join", room_id, BOB))["event"]["content"] == {"membership": "join"}


async def test_who_has_left_the_club_or_was_banned_is_refused(alpha: Home, bob: ForeignServer) -> None:
    alice, club, room_id = await restricted(alpha)
    await stores(alpha.server, club, member(BOB, "join"), member(BOB, "leave"))
    await make(bob, alpha, "join", room_id, BOB, expect=(403, "M_FORBIDDEN"))
    await stores(alpha.server, club, member(CAROL, "join"))
    await alice.ban(room_id, CAROL)
    await make(bob, alpha, "join", room_id, CAROL, expect=(403, "M_FORBIDDEN"))


async def test_clubs_that_we_do_not_see_are_for_others_to_judge(alpha: Home, bob: ForeignServer) -> None:
    alice, club, room_id = await restricted(alpha)
    await alice.set_state(room_id, "m.room.join_rules", allowing(club, "!elsewhere:other.example"))
    await make(bob, alpha, "join", room_id, BOB, expect=(400, "M_UNABLE_TO_AUTHORISE_JOIN"))
    await stores(alpha.server, club, member(BOB, "join"))
    await make(bob, alpha, "join", room_id, BOB)
    await alice.leave(club)  # what we knew of the club is getting old
    await make(bob, alpha, "join", room_id, BOB, expect=(400, "M_UNABLE_TO_AUTHORISE_JOIN"))


@pytest.mark.parametrize("allow", [[], None, "x", [{"type": "m.room_membership"}], [7], [{"room_id": "!x:y"}]])
async def test_conditions_that_are_none_are_not_met(alpha: Home, bob: ForeignServer, allow: Any) -> None:
    alice, club, room_id = await restricted(alpha)
    await stores(alpha.server, club, member(BOB, "join"))
    await alice.set_state(room_id, "m.room.join_rules", {"join_rule": "restricted", "allow": allow})
    await make(bob, alpha, "join", room_id, BOB, expect=(403, "M_FORBIDDEN"))


async def test_somebody_else_has_to_grant_what_none_of_ours_may(alpha: Home, bob: ForeignServer) -> None:
    alice, club, room_id = await restricted(alpha)
    await stores(alpha.server, club, member(BOB, "join"))
    levels = await alice.state(room_id, "m.room.power_levels")
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "invite": 100, "users": {alice.user_id: 50}})
    await make(bob, alpha, "join", room_id, BOB, expect=(400, "M_UNABLE_TO_GRANT_JOIN"))


# --- Knocks and leaves ---


@pytest.mark.parametrize(("version", "rule"), [("7", "knock"), ("10", "knock_restricted"), ("12", "knock")])
async def test_knocking_is_for_rooms_that_hear_it(alpha: Home, bob: ForeignServer, version: str, rule: str) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version=version, join_rule=rule)
    answer = await make(bob, alpha, "knock", room_id, BOB)
    is_template(answer["event"], BOB, "knock")
    assert answer["room_version"] == version
    await alice.set_state(room_id, "m.room.join_rules", {"join_rule": "invite"})
    await make(bob, alpha, "knock", room_id, BOB, expect=(403, "M_FORBIDDEN"))


async def test_old_rooms_hear_no_knock(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, version="6", join_rule="knock")
    await make(bob, alpha, "knock", room_id, BOB, expect=(403, "M_FORBIDDEN"))
    await make(bob, alpha, "knock", room_id, BOB, versions=("7",), expect=(400, "M_INCOMPATIBLE_ROOM_VERSION"))


async def test_only_those_who_are_there_can_leave(alpha: Home, bob: ForeignServer) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice, join_rule="invite")
    await make(bob, alpha, "leave", room_id, BOB, expect=(403, "M_FORBIDDEN"))
    for membership in ("invite", "join"):
        await stores(alpha.server, room_id, member(BOB, membership, alice.user_id if membership == "invite" else None))
        is_template((await make(bob, alpha, "leave", room_id, BOB))["event"], BOB, "leave")


async def test_unsigned_questions_get_nothing(alpha: Home) -> None:
    alice = await alpha.server.register("alice")
    room_id = await open_room(alice)
    for membership in ("join", "knock", "leave"):
        uri = request_uri(f"{V1}/make_{membership}", room_id, BOB)
        await alpha.server.anonymous().get(uri, expect=401)
