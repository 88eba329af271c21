"""Which state of a room a client asks for (MSC4186, "RequiredStateRequest"), and how that is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from homeserver.services.rooms.live_room import CurrentState
from homeserver.services.rooms.timeline_event import TimelineEvent

MEMBER = "m.room.member"
Pattern = tuple[str | None, str | None]
"""Type and state key; None: any."""


@dataclass(frozen=True, slots=True)
class RequiredState:
    """One `required_state`, whichever shape it came in. With `lazy_members`, "everything" is all but members."""

    include: frozenset[Pattern] = frozenset()
    exclude: frozenset[Pattern] = frozenset()
    lazy_members: bool = False
    scans: bool = field(init=False, repr=False, compare=False)
    """Whether keys are wanted that are not known by name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scans", any(None in pattern for pattern in self.include))

    def matches(self, event_type: str, state_key: str) -> bool:
        """Whether this entry of the state is wanted for its own sake (not for who speaks in the timeline)."""
        if _any_of(self.exclude, event_type, state_key):
            return False
        wanted = self.include
        return (
            (event_type, state_key) in wanted
            or (event_type, None) in wanted
            or (None, state_key) in wanted
            or ((None, None) in wanted and not (self.lazy_members and event_type == MEMBER))
        )


def _any_of(patterns: frozenset[Pattern], event_type: str, state_key: str) -> bool:
    return bool(patterns) and (
        (event_type, state_key) in patterns
        or (event_type, None) in patterns
        or (None, state_key) in patterns
        or (None, None) in patterns
    )


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """How much of a room a client wants: "If a room matches multiple rules [...] the room configs must be combined"."""

    timeline_limit: int
    required: frozenset[RequiredState]
    # Combinations are many, where lists overlap: nothing here is as large as what they were made of.
    _scans: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_scans", any(each.scans for each in self.required))

    def combined(self, other: RoomConfig) -> RoomConfig:
        """The superset of both."""
        if self is other or (other.required <= self.required and other.timeline_limit <= self.timeline_limit):
            return self
        return RoomConfig(max(self.timeline_limit, other.timeline_limit), self.required | other.required)

    @property
    def lazy_members(self) -> bool:
        return any(each.lazy_members for each in self.required)

    @property
    def scans(self) -> bool:
        """Whether keys are wanted that are not known by name."""
        return self._scans

    @property
    def scans_members(self) -> bool:
        """Whether members are among those."""
        return any(
            (MEMBER, None) in each.include or ((None, None) in each.include and not each.lazy_members)
            for each in self.required
        )

    @property
    def exact(self) -> set[tuple[str, str]]:
        """Keys that are asked for by name."""
        patterns = {pattern for each in self.required for pattern in each.include}
        return {(kind, key) for kind, key in patterns if kind is not None and key is not None}

    @property
    def named(self) -> set[tuple[str, str]]:
        """Wanted keys that scanning all but members does not find, or need not look for. Not for each room anew."""
        keys = self.exact | {(MEMBER, key) for key in self._keys_of_all_types if key is not None}
        if any(each.exclude for each in self.required):
            return {key for key in keys if self.matches(*key)}
        return keys

    def matches(self, event_type: str, state_key: str) -> bool:
        """Whether any of the rules wants this entry."""
        return any(each.matches(event_type, state_key) for each in self.required)

    def pick(self, state: CurrentState) -> Iterator[TimelineEvent]:
        """Wanted entries of a state in memory, each once."""
        if self._scans:
            yield from (event for event in self._candidates(state) if self.matches(event.type, event.state_key or ""))
            return
        found: dict[tuple[str, str], TimelineEvent] = {}
        for each in self.required:
            for event_type, state_key in each.include:
                if event_type is not None and state_key is not None:
                    event = state.get(event_type, state_key)
                    if event is not None:
                        found[event_type, state_key] = event
        yield from (event for key, event in found.items() if self.matches(*key))

    def _candidates(self, state: CurrentState) -> Iterable[TimelineEvent]:
        if self._wants_all_types:
            members = self.scans_members or any(key is None or key.startswith("@") for key in self._keys_of_all_types)
            types = [each for each in state.types() if members or each != MEMBER]
        else:
            types = list({kind for each in self.required for kind, _ in each.include if kind is not None})
        for event_type in types:
            if event_type == MEMBER and not self.scans_members:
                yield from self._named_members(state)
            else:
                yield from state.of_type(event_type).values()
        if self._wants_all_types and MEMBER not in types:
            yield from self._named_members(state)

    def _named_members(self, state: CurrentState) -> Iterator[TimelineEvent]:
        keys = {key for kind, key in self.exact if kind == MEMBER} | self._keys_of_all_types
        for key in keys:
            event = None if key is None else state.get(MEMBER, key)
            if event is not None:
                yield event

    @property
    def _wants_all_types(self) -> bool:
        return bool(self._keys_of_all_types)

    @property
    def _keys_of_all_types(self) -> set[str | None]:
        return {key for each in self.required for kind, key in each.include if kind is None}
