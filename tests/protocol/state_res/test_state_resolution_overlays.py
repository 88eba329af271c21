"""The quick way to resolve, over differences from a known state, comes to what the plain way comes to."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.state_res import KnownAuth, Overlay, find_conflict
from tests.protocol.factory import ALICE, BOB, CHARLIE, RoomBuilder, resolved, since
from tests.protocol.state_res.test_state_resolution_properties import ACTIONS, FORKS, forked_room

Actions = list[tuple[int, Callable[..., Event], str, str, int]]
State = dict[StateKey, str]


def auth_of(events: dict[str, Event]) -> KnownAuth:
    auth = KnownAuth()
    for event in events.values():
        if event.state_key is not None:
            auth.add(event.event_id, event.key, event.auth_event_ids)
    return auth


def difference(state: State, known: State) -> Overlay:
    keys = state.keys() | known.keys()
    return {key: state.get(key) for key in keys if state.get(key) != known.get(key)}


def applied(overlay: Overlay, known: State) -> State:
    both = {**known, **overlay}
    return {key: event_id for key, event_id in both.items() if event_id is not None}


def resolved_quickly(rooms: list[RoomBuilder], known: State, rejected: frozenset[str] = frozenset()) -> State:
    """Only what the conflict says it needs can be fetched."""
    first = rooms[0]
    auth = auth_of(first.events)
    conflict = find_conflict(first.version, [difference(room.state, known) for room in rooms], known.get, auth)
    loaded = {event_id: first.events[event_id] for event_id in conflict.needed(auth)}
    for event_id in conflict.needed_state(loaded[each] for each in conflict.full_conflicted):
        loaded[event_id] = first.events[event_id]
    return applied(conflict.settle(loaded.get, rejected), known)


@given(st.sampled_from(tuple(ROOM_VERSIONS)), st.lists(ACTIONS, max_size=20), st.integers(0, FORKS - 1))
@settings(max_examples=400, derandomize=True, deadline=None)
def test_the_quick_way_is_the_plain_way(version: str, actions: Actions, known: int) -> None:
    forks = forked_room(version, actions)
    assert resolved_quickly(forks, forks[known].state) == resolved(*forks)


@given(st.sampled_from(since("2")), st.lists(ACTIONS, max_size=20), st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_the_known_state_may_be_none_of_those_that_are_resolved(
    version: str, actions: Actions, data: st.DataObject
) -> None:
    forks = forked_room(version, actions)
    every = {key: event_id for fork in forks for key, event_id in fork.state.items()}
    known = {key: every[key] for key in data.draw(st.sets(st.sampled_from(sorted(every))))}
    assert resolved_quickly(forks, known) == resolved(*forks)
    assert resolved_quickly(forks[:2], known) == resolved(*forks[:2])


@given(st.sampled_from(tuple(ROOM_VERSIONS)), st.lists(ACTIONS, max_size=16), st.data())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_rejected_auth_events_do_not_count_in_either(version: str, actions: Actions, data: st.DataObject) -> None:
    forks = forked_room(version, actions)
    rejected = frozenset(data.draw(st.sets(st.sampled_from(sorted(forks[0].events)), max_size=3)))
    assert resolved_quickly(forks, forks[0].state, rejected) == resolved(*forks, rejected=rejected)


@given(st.lists(ACTIONS, max_size=20), st.data())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_who_is_in_the_auth_chain_of_a_state_is_found_from_the_other_end(actions: Actions, data: st.DataObject) -> None:
    forks = forked_room("10", actions)
    events, auth = forks[0].events, auth_of(forks[0].events)
    state = data.draw(st.sampled_from([fork.state for fork in forks]))
    some = set(data.draw(st.sets(st.sampled_from(sorted(events)))))
    assert auth.without_chain_of_state(some, state.get) == some - auth.chain_of(state.values())


def test_a_key_that_all_the_states_lack_stays_away_though_the_known_state_has_it() -> None:
    for version in ROOM_VERSIONS:
        room = RoomBuilder(version).power_levels().join_rule("public").join(BOB)
        known = dict(room.fork().set(ALICE, "m.room.topic", {"topic": "x"}).state)
        one, other = room.fork().join(CHARLIE), room.fork().set(ALICE, "m.room.name", {"name": "y"})
        result = resolved_quickly([one, other], known)
        assert result == resolved(one, other)
        assert ("m.room.topic", "") not in result
