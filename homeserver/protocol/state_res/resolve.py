"""The door to state resolution: picks the algorithm of the room version."""

from __future__ import annotations

from collections.abc import Container, Sequence

from homeserver.protocol.events import StateKey, StateMap
from homeserver.protocol.room_versions import RoomVersion, StateResolution
from homeserver.protocol.state_res import v1, v2, v2_1
from homeserver.protocol.state_res.auth_graph import AuthChainOf, walk_auth_chain
from homeserver.protocol.state_res.lookup import EventLookup, FetchEvent

_NOTHING: frozenset[str] = frozenset()


def resolve(
    version: RoomVersion,
    state_sets: Sequence[StateMap[str]],
    auth_chain_of: AuthChainOf | None,
    fetch_event: FetchEvent,
    *,
    rejected_event_ids: Container[str] = _NOTHING,
) -> dict[StateKey, str]:
    """Resolve the states after an event's previous events to the one state before it (event ids by state key).

    `auth_chain_of(event_ids)` is the union of their auth chains, asked a few times with many ids; None walks the auth
    events through `fetch_event`. `fetch_event(event_id)` must know every conflicted state event (else LookupError) and
    should know the events of their auth chains: a missing one is treated as not being there.
    Does no I/O: the caller loads events beforehand. The result does not depend on the order of the state sets.
    """
    if all(state == state_sets[0] for state in state_sets[1:]):
        return dict(state_sets[0]) if state_sets else {}
    lookup = EventLookup(version, fetch_event, rejected_event_ids)
    if version.state_resolution is StateResolution.V1:
        return v1.resolve(state_sets, lookup)
    algorithm = v2.resolve if version.state_resolution is StateResolution.V2 else v2_1.resolve
    return algorithm(state_sets, auth_chain_of or walk_auth_chain(lookup), lookup)
