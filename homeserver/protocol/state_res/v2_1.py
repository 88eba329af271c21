"""State resolution version 2.1: room version 12. Version 2 with two changes that stop "state resets"."""

from __future__ import annotations

from collections.abc import Sequence

from homeserver.protocol.events import StateKey, StateMap
from homeserver.protocol.state_res.auth_graph import (
    AuthChainOf,
    auth_difference,
    cited_through,
    conflicted_state_subgraph,
)
from homeserver.protocol.state_res.conflicts import split_conflicted
from homeserver.protocol.state_res.layers import nothing
from homeserver.protocol.state_res.lookup import EventLookup
from homeserver.protocol.state_res.v2 import settle_conflict


def resolve(
    state_sets: Sequence[StateMap[str]], auth_chain_of: AuthChainOf, lookup: EventLookup
) -> dict[StateKey, str]:
    """Resolve by version 2.1.

    1. "The iterative auth checks algorithm now starts with an empty state map instead of the unconflicted state map."
    2. "The full conflicted set additionally includes the conflicted state subgraph", so that what authorised the
       conflicted events is replayed, too.
    """
    unconflicted, conflicted = split_conflicted(state_sets)
    full_conflicted = (
        conflicted
        | conflicted_state_subgraph(conflicted, auth_chain_of, cited_through(lookup))
        | auth_difference(state_sets, unconflicted, auth_chain_of)
    )
    return {**settle_conflict(full_conflicted, conflicted, nothing, lookup), **unconflicted}
