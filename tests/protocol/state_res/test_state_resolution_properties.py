"""Rooms that fork at random: what must hold of every resolution."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.auth import AuthRejection
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.state_res import EventLookup, auth_difference, resolve, split_conflicted, walk_auth_chain
from tests.protocol.factory import ALICE, BOB, CHARLIE, MALLORY, RoomBuilder, resolved, since
from tests.protocol.state_res.literal import LiteralResolution

USERS = (ALICE, BOB, CHARLIE, MALLORY)
FORKS = 3


def draft_member(membership: str) -> Callable[[RoomBuilder, str, str, int], Event]:
    return lambda room, by, target, ts: room.draft(
        by, "m.room.member", {"membership": membership}, target, origin_server_ts=ts
    )


def draft_levels(level: int) -> Callable[[RoomBuilder, str, str, int], Event]:
    def draft(room: RoomBuilder, by: str, target: str, ts: int) -> Event:
        current = room.fetch("m.room.power_levels", "")
        assert current is not None
        content = {**current.content, "users": {**current.content["users"], target: level}}
        return room.draft(by, "m.room.power_levels", content, "", origin_server_ts=ts)

    return draft


def draft_join_rule(rule: str) -> Callable[[RoomBuilder, str, str, int], Event]:
    return lambda room, by, target, ts: room.draft(
        by, "m.room.join_rules", {"join_rule": rule}, "", origin_server_ts=ts
    )


def draft_topic(room: RoomBuilder, by: str, target: str, ts: int) -> Event:
    return room.draft(by, "m.room.topic", {"topic": by}, "", origin_server_ts=ts)


DRAFTS = (
    *(draft_member(membership) for membership in ("join", "leave", "ban", "invite")),
    *(draft_levels(level) for level in (0, 50, 100)),
    *(draft_join_rule(rule) for rule in ("public", "invite")),
    draft_topic,
)
ACTIONS = st.tuples(
    st.integers(0, FORKS - 1),
    st.sampled_from(DRAFTS),
    st.sampled_from(USERS),
    st.sampled_from(USERS),
    st.integers(0, 5),
)


def forked_room(version: str, actions: list[tuple[int, Callable[..., Event], str, str, int]]) -> list[RoomBuilder]:
    """Three forks in which everybody does what the rules allow there; time may run backwards."""
    room = RoomBuilder(version).power_levels({BOB: 100, CHARLIE: 50}).join_rule("public").join(BOB, CHARLIE, MALLORY)
    forks = [room.fork() for _ in range(FORKS)]
    for number, draft, by, target, ts in actions:
        fork = forks[number]
        event = draft(fork, by, target, ts * 1000)
        if is_allowed(fork, event):
            fork.add(event)
    return forks


def is_allowed(room: RoomBuilder, event: Event) -> bool:
    try:
        room.allows(event)
    except AuthRejection:
        return False
    return True


@given(st.sampled_from(tuple(ROOM_VERSIONS)), st.lists(ACTIONS, max_size=16), st.permutations(range(FORKS)))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_every_server_comes_to_the_same_state(
    version: str, actions: list[tuple[int, Callable[..., Event], str, str, int]], order: list[int]
) -> None:
    forks = forked_room(version, actions)
    result = resolved(*forks)
    assert resolved(*(forks[number] for number in order)) == result
    assert resolved(*forks, forks[order[0]]) == result, "the same state twice is the same state"
    backwards = [dict(reversed(fork.state.items())) for fork in forks]
    assert resolve(forks[0].version, backwards, None, forks[0].events.get) == result
    assert resolved_again(forks, result) == result


def resolved_again(forks: list[RoomBuilder], result: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    return resolve(forks[0].version, [result, dict(result)], None, forks[0].events.get)


@given(st.sampled_from(tuple(ROOM_VERSIONS)), st.lists(ACTIONS, max_size=16))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_the_result_is_made_of_known_events_and_keeps_what_all_agree_on(
    version: str, actions: list[tuple[int, Callable[..., Event], str, str, int]]
) -> None:
    forks = forked_room(version, actions)
    events, result = forks[0].events, resolved(*forks)
    assert all(events[event_id].key == key for key, event_id in result.items())
    unconflicted, _ = split_conflicted([fork.state for fork in forks])
    assert unconflicted.items() <= result.items()
    assert result.keys() <= {key for fork in forks for key in fork.state}
    assert events[result["m.room.create", ""]].type == "m.room.create"


@given(st.lists(ACTIONS, max_size=16))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_the_quick_auth_difference_is_the_literal_one(
    actions: list[tuple[int, Callable[..., Event], str, str, int]],
) -> None:
    forks = forked_room("11", actions)
    states = [fork.state for fork in forks]
    chain_of = walk_auth_chain(EventLookup(ROOM_VERSIONS["11"], forks[0].events.get, ()))
    chains = [chain_of(state.values()) for state in states]
    literal = set().union(*chains) - set(chains[0]).intersection(*chains[1:])
    assert auth_difference(states, split_conflicted(states)[0], chain_of) == literal


@given(st.sampled_from(since("2")), st.lists(ACTIONS, max_size=14))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_the_resolution_is_that_of_the_text(
    version: str, actions: list[tuple[int, Callable[..., Event], str, str, int]]
) -> None:
    forks = forked_room(version, actions)
    literal = LiteralResolution(forks[0].version, forks[0].events, v2_1=version == "12")
    assert resolved(*forks) == literal.resolve([fork.state for fork in forks])


@given(st.sampled_from(since("2")), st.lists(ACTIONS, max_size=14), st.lists(st.sampled_from(USERS), max_size=3))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_also_of_states_that_should_not_be(
    version: str, actions: list[tuple[int, Callable[..., Event], str, str, int]], missing: list[str]
) -> None:
    """A server may have been told a wrong state: old power levels, members left out."""
    forks = forked_room(version, actions)
    stale = forks[0].fork()
    stale.state["m.room.power_levels", ""] = next(
        event_id for event_id, event in stale.events.items() if event.type == "m.room.power_levels"
    )
    for user in missing:
        stale.state.pop(("m.room.member", user), None)
    forks.append(stale)
    literal = LiteralResolution(forks[0].version, forks[0].events, v2_1=version == "12")
    assert resolved(*forks) == literal.resolve([fork.state for fork in forks])
