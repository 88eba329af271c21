"""State resolution version 1: room version 1. Known to reset state; kept for rooms that have it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from homeserver.protocol.auth.dependent import check_state_dependent
from homeserver.protocol.auth.rejection import AuthRejection
from homeserver.protocol.events import Event, StateKey, StateMap
from homeserver.protocol.state_res.layers import LayeredState, ReadState, nothing
from homeserver.protocol.state_res.lookup import EventLookup

_Pick = Callable[[Sequence[Event], LayeredState, EventLookup], Event]
_AUTH_PASSES = ("m.room.power_levels", "m.room.join_rules", "m.room.member")


def resolve(state_sets: Sequence[StateMap[str]], lookup: EventLookup) -> dict[StateKey, str]:
    """Build up the result R in passes: power levels, join rules, members, then everything else."""
    return settle_states(state_sets, nothing, lookup)


def settle_states(state_sets: Sequence[StateMap[str]], rest: ReadState, lookup: EventLookup) -> dict[StateKey, str]:
    """The result for the keys of `state_sets`; `rest` reads state that is the same in all of them, by other keys."""
    # "Start by setting R to the union of the states to be resolved, excluding any conflicting events."
    agreed, conflicting = _split_conflicting(state_sets, lookup)
    result = LayeredState(rest, agreed)
    for event_type in _AUTH_PASSES:
        keys = [key for key in conflicting if key[0] == event_type]
        _resolve_pass(keys, conflicting, result, lookup, _pick_auth_event)
    _resolve_pass([key for key in conflicting if key[0] not in _AUTH_PASSES], conflicting, result, lookup, _pick_event)
    return result.changes


def _split_conflicting(
    state_sets: Sequence[StateMap[str]], lookup: EventLookup
) -> tuple[dict[StateKey, str], dict[StateKey, list[Event]]]:
    """ "A conflict occurs between states where those states have different event_ids for the same key": unlike in
    version 2, a key that some of the states do not have is no conflict.
    """
    candidates: dict[StateKey, set[str]] = {}
    for state in state_sets:
        for key, event_id in state.items():
            candidates.setdefault(key, set()).add(event_id)
    agreed = {key: next(iter(event_ids)) for key, event_ids in candidates.items() if len(event_ids) == 1}
    conflicting = {
        key: _by_depth(map(lookup.require, event_ids)) for key, event_ids in candidates.items() if len(event_ids) > 1
    }
    return agreed, conflicting


def _by_depth(events: Iterable[Event]) -> list[Event]:
    """ "Sort the list by ascending depth then descending sha1(event_id)."""
    return sorted(sorted(events, key=_sha1, reverse=True), key=lambda event: event.depth)


def _sha1(event: Event) -> bytes:
    return hashlib.sha1(event.event_id.encode(), usedforsecurity=False).digest()


def _resolve_pass(
    keys: Iterable[StateKey],
    conflicting: dict[StateKey, list[Event]],
    result: LayeredState,
    lookup: EventLookup,
    pick: _Pick,
) -> None:
    """Resolve some keys, all against the result of the passes before, so that their order does not matter."""
    picked = {key: pick(conflicting[key], result, lookup).event_id for key in keys}
    result.changes.update(picked)


def _pick_auth_event(events: Sequence[Event], result: LayeredState, lookup: EventLookup) -> Event:
    """ "Add the first event in the list to R. For each subsequent event, check that the event would be allowed by the
    authorisation rules for a room in state R. If it would not be allowed, stop."
    """
    accepted = events[0]
    for event in events[1:]:
        if not _is_allowed(event, LayeredState(result.get, {accepted.key: accepted.event_id}), lookup):
            break
        accepted = event
    return accepted


def _pick_event(events: Sequence[Event], result: LayeredState, lookup: EventLookup) -> Event:
    """ "Pick the event with the highest depth and lowest sha1(event_id) that passes authentication in R"; the one with
    the least depth when none passes.
    """
    for event in reversed(events):
        if _is_allowed(event, result, lookup):
            return event
    return events[0]


def _is_allowed(event: Event, result: LayeredState, lookup: EventLookup) -> bool:
    """ "Allowed by the authorisation rules for a room in state R": unlike in version 2, what is not (yet) in R is not
    looked for among the event's own auth events.
    """

    def fetch(event_type: str, state_key: str) -> Event | None:
        event_id = result.get((event_type, state_key))
        return None if event_id is None else lookup.fetch(event_id)

    try:
        check_state_dependent(event, lookup.version, fetch)
    except AuthRejection:
        return False
    return True
