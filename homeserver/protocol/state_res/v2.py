"""State resolution version 2: room versions 2 to 11. The steps are those of the section "Algorithm"."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from homeserver.protocol.events import StateKey, StateMap
from homeserver.protocol.state_res.auth_graph import AuthChainOf, auth_difference
from homeserver.protocol.state_res.conflicts import split_conflicted
from homeserver.protocol.state_res.iterative_auth import iterative_auth_checks
from homeserver.protocol.state_res.layers import LayeredState, ReadState
from homeserver.protocol.state_res.lookup import EventLookup
from homeserver.protocol.state_res.ordering import (
    is_power_event,
    mainline_ordering,
    reverse_topological_power_ordering,
    with_auth_events_in,
)


def resolve(
    state_sets: Sequence[StateMap[str]], auth_chain_of: AuthChainOf, lookup: EventLookup
) -> dict[StateKey, str]:
    """Resolve by version 2: start from the unconflicted state, with the auth difference beside the conflicted set."""
    unconflicted, conflicted = split_conflicted(state_sets)
    full_conflicted = conflicted | auth_difference(state_sets, unconflicted, auth_chain_of)
    # 5. "Update the result by replacing any event with the event with the same key from the unconflicted state map."
    return {**settle_conflict(full_conflicted, conflicted, unconflicted.get, lookup), **unconflicted}


def settle_conflict(
    full_conflicted: AbstractSet[str], conflicted: AbstractSet[str], initial: ReadState, lookup: EventLookup
) -> dict[StateKey, str]:
    """Steps 1 to 4, which versions 2 and 2.1 have in common: what they put over `initial`, the state step 2 starts from."""
    for event_id in conflicted:
        lookup.require(event_id)
    events = [event for event in map(lookup.fetch, full_conflicted) if event is not None]
    state = LayeredState(initial)

    # 1. "Select the set X of all power events that appear in the full conflicted set", enlarged by their auth chains,
    #    and "sort X into a list using the reverse topological power ordering".
    selected = with_auth_events_in(filter(is_power_event, events), full_conflicted, lookup)
    power_events = reverse_topological_power_ordering(selected, lookup)

    # 2. "Apply the iterative auth checks algorithm" to that list "to get a partially resolved state".
    iterative_auth_checks(state, power_events, lookup)

    # 3. "Take all remaining events that weren't picked in step 1 and order them by the mainline ordering based on the
    #    power level in the partially resolved state obtained in step 2."
    picked = {event.event_id for event in selected}
    remaining = mainline_ordering(
        (event for event in events if event.event_id not in picked), state.get(("m.room.power_levels", "")), lookup
    )

    # 4. "Apply the iterative auth checks algorithm on the partial resolved state and the list of events".
    iterative_auth_checks(state, remaining, lookup)
    return state.changes
