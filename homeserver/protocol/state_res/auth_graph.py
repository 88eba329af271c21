"""The graph of auth events: definitions "Auth chain", "Auth difference" and, since v12, "Conflicted state subgraph".

Walks are iterative and visit an event once, so they end even where events of v2 rooms form a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet

from homeserver.protocol.events import StateKey, StateMap
from homeserver.protocol.state_res.lookup import EventLookup

AuthChainOf = Callable[[Collection[str]], AbstractSet[str]]
"""`auth_chain_of(event_ids)`: all events reachable from them along auth events, themselves only when reached so."""

CitedBy = Callable[[str], Collection[str]]
"""`cited_by(event_id)`: the ids of its auth events; none where it is not known."""


def walk_auth_chain(lookup: EventLookup) -> AuthChainOf:
    """An `auth_chain_of` that walks through `lookup`: linear in the size of the chain."""

    def auth_chain_of(event_ids: Collection[str]) -> AbstractSet[str]:
        chain: set[str] = set()
        to_visit = list(event_ids)
        while to_visit:
            event = lookup.fetch(to_visit.pop())
            if event is not None:
                new = [event_id for event_id in event.auth_event_ids if event_id not in chain]
                chain.update(new)
                to_visit += new
        return chain

    return auth_chain_of


def auth_difference(
    state_sets: Sequence[StateMap[str]], unconflicted: StateMap[str], auth_chain_of: AuthChainOf
) -> set[str]:
    """Definition "Auth difference": the union of the full auth chains C_i of the states, minus their intersection.

    The auth chain U of the unconflicted state is part of every C_i = U + (chain of the rest of S_i), so it is computed
    once and taken away: states differ in little and share thousands of members.
    """
    shared = auth_chain_of(unconflicted.values())
    chains = [auth_chain_of(_rest(state, unconflicted)) for state in state_sets]
    return set().union(*chains).difference(shared, set(chains[0]).intersection(*chains[1:]))


def _rest(state: StateMap[str], unconflicted: StateMap[str]) -> list[str]:
    """The events of a state that are not unconflicted."""

    def is_conflicted(key: StateKey) -> bool:
        return key not in unconflicted

    return [event_id for key, event_id in state.items() if is_conflicted(key)]


def cited_through(lookup: EventLookup) -> CitedBy:
    """The auth events of events, as far as `lookup` knows them."""

    def cited_by(event_id: str) -> Collection[str]:
        event = lookup.fetch(event_id)
        return () if event is None else event.auth_event_ids

    return cited_by


def conflicted_state_subgraph(conflicted: AbstractSet[str], auth_chain_of: AuthChainOf, cited_by: CitedBy) -> set[str]:
    """Definition "Conflicted state subgraph" (since v12).

    "Starting from an event in the conflicted state set and following auth_events edges may lead to another event in the
    conflicted state set. The union of all such paths between any pair of events in the conflicted state set (including
    endpoints)": what is reached from a conflicted event and reaches one itself.
    """
    reached = auth_chain_of(conflicted) | conflicted
    reached_from: dict[str, list[str]] = {}  # turn the edges around: event -> the reached events that cite it
    for event_id in reached:
        for auth_event_id in cited_by(event_id):
            reached_from.setdefault(auth_event_id, []).append(event_id)
    subgraph: set[str] = set()
    to_visit = [event_id for event_id in conflicted if event_id in reached_from]
    while to_visit:
        event_id = to_visit.pop()
        for citing in reached_from.get(event_id, ()):
            if citing not in subgraph:
                subgraph.add(citing)
                to_visit.append(citing)
    # The far endpoint of each path is a conflicted event that something cites.
    return subgraph | {event_id for event_id in conflicted if event_id in reached_from}
