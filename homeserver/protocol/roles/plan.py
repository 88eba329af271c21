"""What a change of roles comes to: a list of events, what cannot be said with power levels, and where hands were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.protocol.roles.rooms import Change, Content, difference


@dataclass(frozen=True, slots=True)
class HandEdit:
    """Somebody has changed by hand what roles had written: the room waits until an owner says which is to stay."""

    room_id: str
    event_type: str
    written: Content
    found: Content

    def as_json(self) -> dict[str, Any]:
        """For people: what is different now from what roles had written."""
        where = {"room_id": self.room_id, "type": self.event_type}
        return {**where, "diff": difference(self.written, self.found)}

    def exactly(self) -> list[Any]:
        """For the plan's digest."""
        return [self.room_id, self.event_type, self.written, self.found]


@dataclass(frozen=True, slots=True)
class Loss:
    """A role does not get this in this room, as power levels cannot say it."""

    room_id: str
    role_id: str
    permission: str

    def as_json(self) -> dict[str, str]:
        """For people."""
        return {"room_id": self.room_id, "role": self.role_id, "permission": self.permission}


@dataclass(frozen=True, slots=True)
class Plan:
    """`unruled`: rooms of the space that roles do not reach, and why."""

    changes: tuple[Change, ...] = ()
    conflicts: tuple[HandEdit, ...] = ()
    losses: tuple[Loss, ...] = ()
    unruled: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """The same for the same changes and conflicts: whoever applies a plan has seen this one."""
        said = [[each.exactly() for each in self.changes], [each.exactly() for each in self.conflicts]]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

    def as_json(self) -> dict[str, Any]:
        """For people and tools."""
        return {
            "plan": self.digest(),
            "changes": _said(self.changes),
            "conflicts": _said(self.conflicts),
            "losses": _said(self.losses),
            "unruled": dict(self.unruled),
        }


def _said(things: Iterable[Change | HandEdit | Loss]) -> list[dict[str, Any]]:
    return [each.as_json() for each in things]
