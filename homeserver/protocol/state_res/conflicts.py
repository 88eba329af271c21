"""Definition "Unconflicted state map and conflicted state set"."""

from __future__ import annotations

from collections.abc import Sequence

from homeserver.protocol.events import StateKey, StateMap


def split_conflicted(state_sets: Sequence[StateMap[str]]) -> tuple[dict[StateKey, str], set[str]]:
    """(unconflicted state map, conflicted state set).

    "If a given key K is present in every S_i with the same value V in each state map, then the pair (K, V) belongs to
    the unconflicted state map. Otherwise, V belongs to the conflicted state set."
    """
    first, *others = state_sets
    unconflicted = {
        key: event_id for key, event_id in first.items() if all(state.get(key) == event_id for state in others)
    }
    conflicted = {event_id for state in state_sets for key, event_id in state.items() if key not in unconflicted}
    return unconflicted, conflicted
