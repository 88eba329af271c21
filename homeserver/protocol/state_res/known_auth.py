"""The auth graph of a room in memory, readable in both directions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from homeserver.protocol.events import StateKey


@dataclass(slots=True)
class KnownAuth:
    """State events by id: what they set, whom they cite, who cites them. Only grows; edges never change.

    Whatever an event in it cites is in it too, as long as it is filled so.
    """

    _keys: dict[str, StateKey] = field(default_factory=dict)
    _cited: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _citing: dict[str, list[str]] = field(default_factory=dict)

    def __contains__(self, event_id: object) -> bool:
        return event_id in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, event_id: str, key: StateKey, auth_event_ids: Iterable[str]) -> None:
        """A state event; one that is here already stays as it is."""
        if event_id in self._keys:
            return
        cited = tuple(auth_event_ids)
        self._keys[event_id] = key
        self._cited[event_id] = cited
        for each in cited:
            self._citing.setdefault(each, []).append(event_id)

    def cited_by(self, event_id: str) -> tuple[str, ...]:
        """Its auth events; none where it is not known."""
        return self._cited.get(event_id, ())

    def chain_of(self, event_ids: Collection[str]) -> set[str]:
        """The union of their auth chains."""
        chain: set[str] = set()
        to_visit = list(event_ids)
        while to_visit:
            for cited in self._cited.get(to_visit.pop(), ()):
                if cited not in chain:
                    chain.add(cited)
                    to_visit.append(cited)
        return chain

    def without_chain_of_state(self, candidates: Collection[str], state: Callable[[StateKey], str | None]) -> set[str]:
        """Those of the candidates that are in no auth chain of an event of a state.

        A state of a large room has thousands of events: asked from the other end. Who cites a candidate, who cites those,
        and so on, until an event of the state is met; most often the first one is.
        """
        hit: list[str] = []
        to_visit = list(candidates)
        visited = set(to_visit)
        while to_visit:
            event_id = to_visit.pop()
            for citing in self._citing.get(event_id, ()):
                if state(self._keys[citing]) == citing:
                    hit.append(event_id)
                    break
                if citing not in visited:
                    visited.add(citing)
                    to_visit.append(citing)
        # What a hit event cites is in that chain, too.
        return set(candidates).difference(hit, self._reached_within(visited, hit))

    def _reached_within(self, allowed: set[str], event_ids: Iterable[str]) -> set[str]:
        reached: set[str] = set()
        to_visit = list(event_ids)
        while to_visit:
            for cited in self._cited.get(to_visit.pop(), ()):
                if cited in allowed and cited not in reached:
                    reached.add(cited)
                    to_visit.append(cited)
        return reached

    def power_levels_before(self, event_ids: Iterable[str]) -> set[str]:
        """The power levels that these events are based on, those these are based on, and so on."""
        found: set[str] = set()
        to_visit = list(event_ids)
        while to_visit:
            for cited in self._cited.get(to_visit.pop(), ()):
                if cited not in found and self._keys.get(cited) == ("m.room.power_levels", ""):
                    found.add(cited)
                    to_visit.append(cited)
        return found
