"""State resolution versions 2 and 2.1 once more, word for word from the room version texts and as slow as they are.

The quick implementation is compared with it. Only the authorisation rules are shared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from homeserver.protocol.auth import AuthRejection, check_state_dependent, power_levels_in_room
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import RoomVersion

State = dict[StateKey, str]


class LiteralResolution:
    """One resolution; `events` are all events of the room."""

    def __init__(self, version: RoomVersion, events: Mapping[str, Event], *, v2_1: bool) -> None:
        self.version = version
        self.events = events
        self.v2_1 = v2_1

    def resolve(self, states: Sequence[State]) -> State:
        """The algorithm, steps 1 to 5."""
        keys = {key for state in states for key in state}
        agreed = {key for key in keys if len({state.get(key) for state in states}) == 1}
        unconflicted = {key: states[0][key] for key in agreed}
        conflicted = {state[key] for state in states for key in keys - agreed if key in state}
        full_conflicted = conflicted | self.auth_difference(states)
        if self.v2_1:
            full_conflicted |= self.subgraph(conflicted)

        power = {event_id for event_id in full_conflicted if self.is_power_event(self.events[event_id])}
        for event_id in list(power):
            power |= self.chain_within(event_id, full_conflicted)
        partial = self.iterate({} if self.v2_1 else dict(unconflicted), self.topological(power))
        rest = sorted(full_conflicted - power, key=self.mainline_key(partial.get(("m.room.power_levels", ""))))
        return {**self.iterate(partial, rest), **unconflicted}

    def chain(self, event_id: str) -> set[str]:
        """Auth chain."""
        found: set[str] = set()
        for auth_event_id in self.events[event_id].auth_event_ids:
            found |= {auth_event_id} | self.chain(auth_event_id)
        return found

    def chain_within(self, event_id: str, allowed: set[str]) -> set[str]:
        """The auth chain as far as it stays within a set: how servers in use read the second sentence of step 1."""
        found: set[str] = set()
        for auth_event_id in allowed.intersection(self.events[event_id].auth_event_ids):
            found |= {auth_event_id} | self.chain_within(auth_event_id, allowed)
        return found

    def auth_difference(self, states: Sequence[State]) -> set[str]:
        chains = [{link for event_id in state.values() for link in self.chain(event_id)} for state in states]
        return set().union(*chains) - set(chains[0]).intersection(*chains)

    def subgraph(self, conflicted: set[str]) -> set[str]:
        """Every event on a path from one conflicted event to another."""
        return {
            event_id
            for path in (path for start in conflicted for path in self.paths(start))
            for end in range(1, len(path))
            if path[end] in conflicted
            for event_id in path[: end + 1]
        }

    def paths(self, event_id: str) -> list[list[str]]:
        """All ways from an event along auth events to where there are no more."""
        onwards = [path for auth_event_id in self.events[event_id].auth_event_ids for path in self.paths(auth_event_id)]
        return [[event_id, *path] for path in onwards] or [[event_id]]

    @staticmethod
    def is_power_event(event: Event) -> bool:
        removes = event.type == "m.room.member" and event.content["membership"] in ("leave", "ban")
        return event.type in ("m.room.power_levels", "m.room.join_rules") or (
            removes and event.sender != event.state_key
        )

    def topological(self, event_ids: set[str]) -> list[str]:
        """Reverse topological power ordering: of those all of whose auth events are there, the smallest comes next."""
        ordered: list[str] = []
        while len(ordered) < len(event_ids):
            ready = [
                event_id
                for event_id in event_ids - set(ordered)
                if set(self.events[event_id].auth_event_ids) & event_ids <= set(ordered)
            ]
            ordered.append(min(ready, key=self.power_key))
        return ordered

    def power_key(self, event_id: str) -> tuple[Any, ...]:
        event = self.events[event_id]
        auth = {self.events[auth_event_id].key: self.events[auth_event_id] for auth_event_id in event.auth_event_ids}
        create = self.events["$create"] if self.v2_1 else auth.get(("m.room.create", ""))
        if create is None:
            return (0, event.origin_server_ts, event_id)
        levels = power_levels_in_room(create, auth.get(("m.room.power_levels", "")), self.version)
        return (-levels.of_user(event.sender), event.origin_server_ts, event_id)

    def levels_of(self, event_id: str) -> list[str]:
        """The power levels an event is based on, those these are based on, and so on."""
        for auth_event_id in self.events[event_id].auth_event_ids:
            if self.events[auth_event_id].key == ("m.room.power_levels", ""):
                return [auth_event_id, *self.levels_of(auth_event_id)]
        return []

    def mainline_key(self, levels_id: str | None) -> Any:
        mainline = [] if levels_id is None else [levels_id, *self.levels_of(levels_id)]

        def key(event_id: str) -> tuple[Any, ...]:
            positions = [mainline.index(level) for level in self.levels_of(event_id) if level in mainline]
            event = self.events[event_id]
            return (-(positions[0] if positions else math.inf), event.origin_server_ts, event_id)

        return key

    def iterate(self, state: State, event_ids: Sequence[str]) -> State:
        """Iterative auth checks."""
        for event_id in event_ids:
            event = self.events[event_id]
            auth = {self.events[link].key: link for link in event.auth_event_ids}
            if self.v2_1:
                auth["m.room.create", ""] = "$create"
            known = {**auth, **state}

            def fetch(event_type: str, state_key: str, known: State = known) -> Event | None:
                found = known.get((event_type, state_key))
                return None if found is None else self.events[found]

            try:
                check_state_dependent(event, self.version, fetch)
            except AuthRejection:
                continue
            state = {**state, event.key: event_id}
        return state
