"""What version 2.1 (room 12) does better than version 2 (room 11): the same story in both."""

from __future__ import annotations

import pytest

from homeserver.protocol.events import StateKey
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.state_res import EventLookup, cited_through, conflicted_state_subgraph, walk_auth_chain
from tests.protocol.factory import ALICE, BOB, CHARLIE, MALLORY, RoomBuilder, resolved

TOPIC = ("m.room.topic", "")
LEVELS = ("m.room.power_levels", "")
JOIN_RULES = ("m.room.join_rules", "")


def member(user: str) -> StateKey:
    return ("m.room.member", user)


@pytest.mark.parametrize(("version", "still_there"), [("11", False), ("12", True)])
def test_who_joined_an_open_room_stays_when_it_was_closed_later(version: str, still_there: bool) -> None:
    """The empty start: Bob's join is checked against the join rules it was made under, not against those of today."""
    room = RoomBuilder(version).power_levels().join_rule("public").join(CHARLIE)
    without_bob = room.fork().join_rule("invite")
    with_bob = room.fork().join(BOB)
    with_bob.state[JOIN_RULES] = without_bob.state[JOIN_RULES]
    result = resolved(without_bob, with_bob)
    assert (member(BOB) in result) is still_there
    assert result[JOIN_RULES] == without_bob.state[JOIN_RULES]


@pytest.mark.parametrize(("version", "newest_stays"), [("11", False), ("12", True)])
def test_power_levels_do_not_fall_back_to_an_old_state(version: str, newest_stays: bool) -> None:
    """The conflicted subgraph: the event that gave Bob his power lies between the conflicting ones and is replayed.

    One server has stale power levels, but knows Bob's topic, which is based on the newer ones.
    """
    room = RoomBuilder(version).join(BOB).power_levels()
    stale = room.fork()
    room.power_levels({BOB: 100})
    room.set(BOB, "m.room.topic", {"topic": "Bob may"})
    stale.state[TOPIC] = room.state[TOPIC]
    current = room.fetch(*LEVELS)
    assert current is not None
    room.set(BOB, "m.room.power_levels", {**current.content, "ban": 60})
    result = resolved(room, stale)
    assert result[LEVELS] == (room if newest_stays else stale).state[LEVELS]


def test_the_subgraph_is_what_lies_on_paths_between_conflicted_events() -> None:
    room = RoomBuilder("12").join(BOB).power_levels()
    first = room.state[LEVELS]
    between = room.power_levels({BOB: 100}).state[LEVELS]
    aside = room.join(CHARLIE).state[member(CHARLIE)]
    last = room.power_levels({BOB: 100}, ban=60).state[LEVELS]
    lookup = EventLookup(ROOM_VERSIONS["12"], room.events.get, ())
    chain_of = walk_auth_chain(lookup)
    assert conflicted_state_subgraph({first, last}, chain_of, cited_through(lookup)) == {first, between, last}
    assert conflicted_state_subgraph({between, aside}, chain_of, cited_through(lookup)) == {between, aside}
    assert conflicted_state_subgraph({aside}, chain_of, cited_through(lookup)) == set()
    assert conflicted_state_subgraph(set(), chain_of, cited_through(lookup)) == set()


def test_creators_outrank_everybody_in_the_order_of_replay() -> None:
    room = RoomBuilder("12", additional_creators=[BOB]).join(BOB, CHARLIE).power_levels({CHARLIE: 2**53 - 1})
    ban, revolt = room.fork(), room.fork()
    ban.member(CHARLIE, "ban", by=BOB)
    revolt.set(CHARLIE, "m.room.power_levels", {"users": {}, "invite": 2**53 - 1}, origin_server_ts=1)
    result = resolved(ban, revolt)
    assert result[member(CHARLIE)] == ban.state[member(CHARLIE)]
    assert result[LEVELS] == room.state[LEVELS]


def test_unconflicted_state_wins_in_the_end() -> None:
    """Step 5: what is replayed of the past does not replace what all states agree on."""
    room = RoomBuilder("12").power_levels().join_rule("public").join(BOB)
    with_mallory = room.fork().join(MALLORY).join_rule("invite")
    without = room.fork()
    without.state[JOIN_RULES] = with_mallory.state[JOIN_RULES]
    result = resolved(with_mallory, without)
    assert result[JOIN_RULES] == with_mallory.state[JOIN_RULES]
    assert result[member(MALLORY)] == with_mallory.state[member(MALLORY)]


def test_a_rejected_create_event_authorises_nothing() -> None:
    room = RoomBuilder("12").join_rule("public")
    one, two = room.fork().join(BOB), room.fork().join(CHARLIE)
    result = resolved(one, two, rejected={"$create"})
    assert member(BOB) not in result
    assert member(CHARLIE) not in result
    assert member(BOB) in resolved(one, two)
    assert result[member(ALICE)] == room.state[member(ALICE)]
