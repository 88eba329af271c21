"""State resolution of states that differ in little: each is given by its difference from one of them all know.

The result is that of `resolve.resolve` on the whole states (compared in the tests), but costs what the differences cost,
not what the room has. In steps, so that the caller can load what each needs: `find_conflict` reads the auth graph only;
`Conflict.needed` and `Conflict.needed_state` name the events that `Conflict.settle` will ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from homeserver.protocol.auth import auth_types_for_event
from homeserver.protocol.auth.selection import CREATE, POWER_LEVELS
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import RoomVersion, StateResolution
from homeserver.protocol.state_res import v1, v2
from homeserver.protocol.state_res.auth_graph import conflicted_state_subgraph
from homeserver.protocol.state_res.known_auth import KnownAuth
from homeserver.protocol.state_res.layers import ReadState, nothing
from homeserver.protocol.state_res.lookup import EventLookup, FetchEvent

Overlay = Mapping[StateKey, str | None]
"""What a state has otherwise than the one that is known: an event id, None where it has nothing at a key."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """States that differ. `conflicted`: ids; `full_conflicted`: with the auth difference (and subgraph)."""

    version: RoomVersion
    states: Sequence[dict[StateKey, str | None]]
    """The differing states, all for the same keys."""
    conflicted_keys: AbstractSet[StateKey]
    conflicted: AbstractSet[str]
    full_conflicted: AbstractSet[str]
    known: ReadState

    def unconflicted(self, key: StateKey) -> str | None:
        """What all the states have at a key."""
        if key in self.conflicted_keys:
            return None
        first = self.states[0]
        return first[key] if key in first else self.known(key)

    def needed(self, auth: KnownAuth) -> set[str]:
        """The events to be known when it is settled, those of `needed_state` excepted."""
        cited = {event_id for each in self.full_conflicted for event_id in auth.cited_by(each)}
        found = cited.union(self.full_conflicted, _known({self.unconflicted(POWER_LEVELS), self.unconflicted(CREATE)}))
        return found | auth.power_levels_before(found)

    def needed_state(self, events: Iterable[Event]) -> set[str]:
        """Unconflicted state by which the full conflicted events, which are these, are checked."""
        if self.version.state_resolution is StateResolution.V2_1:
            return set()
        return _known({self.unconflicted(key) for event in events for key in _auth_keys(event)})

    def settle(self, fetch: FetchEvent, rejected_event_ids: AbstractSet[str]) -> dict[StateKey, str | None]:
        """The resolved state, as its difference from the known one. Raises LookupError where an event is not known."""
        lookup = EventLookup(self.version, fetch, rejected_event_ids)
        result: dict[StateKey, str | None] = dict(self.states[0])
        result.update(dict.fromkeys(self.conflicted_keys))
        result.update(self._changes(lookup))
        return {key: event_id for key, event_id in result.items() if self.known(key) != event_id}

    def _changes(self, lookup: EventLookup) -> dict[StateKey, str]:
        if self.version.state_resolution is StateResolution.V1:
            return v1.settle_states([_present(state) for state in self.states], self.unconflicted, lookup)
        initial = self.unconflicted if self.version.state_resolution is StateResolution.V2 else nothing
        changes = v2.settle_conflict(self.full_conflicted, self.conflicted, initial, lookup)
        # 5. "Update the result by replacing any event with the event with the same key from the unconflicted state map."
        return {key: event_id for key, event_id in changes.items() if self.unconflicted(key) is None}


def find_conflict(version: RoomVersion, overlays: Sequence[Overlay], known: ReadState, auth: KnownAuth) -> Conflict:
    """What the states differ in. All their events, and the auth chains of those, must be in `auth`."""
    states = _on_the_same_keys(overlays, known)
    keys = {key for key in states[0] if any(state[key] != states[0][key] for state in states)}
    conflicted = {event_id for state in states for key in keys if (event_id := state[key]) is not None}
    bare = Conflict(version, states, keys, conflicted, conflicted, known)
    if version.state_resolution is StateResolution.V1:
        return bare
    full = conflicted | _auth_difference(bare, auth)
    if version.state_resolution is StateResolution.V2_1:
        full |= conflicted_state_subgraph(conflicted, auth.chain_of, auth.cited_by)
    return Conflict(version, states, keys, conflicted, full, known)


def _auth_difference(conflict: Conflict, auth: KnownAuth) -> set[str]:
    """As in auth_graph.auth_difference; what the unconflicted state's chain has is taken away from the other end."""
    chains = [
        auth.chain_of([event_id for key in conflict.conflicted_keys if (event_id := state[key]) is not None])
        for state in conflict.states
    ]
    candidates = set().union(*chains).difference(set(chains[0]).intersection(*chains[1:]))
    return auth.without_chain_of_state(candidates, conflict.unconflicted)


def _on_the_same_keys(overlays: Sequence[Overlay], known: ReadState) -> list[dict[StateKey, str | None]]:
    keys = {key for overlay in overlays for key in overlay}
    standing = {key: known(key) for key in keys}
    return [{**standing, **overlay} for overlay in overlays]


def _known(event_ids: AbstractSet[str | None]) -> set[str]:
    return {event_id for event_id in event_ids if event_id is not None}


def _present(state: Mapping[StateKey, str | None]) -> dict[StateKey, str]:
    return {key: event_id for key, event_id in state.items() if event_id is not None}


def _auth_keys(event: Event) -> Sequence[StateKey]:
    return auth_types_for_event(event.type, event.sender, event.state_key, event.content, event.room_version)
