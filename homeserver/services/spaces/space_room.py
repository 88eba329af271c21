"""A room as the hierarchy shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.directory.facts import FACT_TYPES, RoomFacts
from homeserver.services.spaces.children import Child

SHOWN_TYPES: Final = (*FACT_TYPES, "m.room.encryption")
MAX_ALLOWED: Final = 100


@dataclass(frozen=True, slots=True)
class SpaceRoom:
    """`children` in order; none where the room is no space. `allowed`: rooms whose members may join."""

    facts: RoomFacts
    version: str | None
    encryption: str | None
    allowed: Sequence[str]
    children: Sequence[Child]

    @property
    def is_space(self) -> bool:
        return self.facts.room_type == "m.space"

    @property
    def join_rule(self) -> str:
        """As the room's version knows it: what it does not know lets nobody in."""
        rule, version = self.facts.join_rule, ROOM_VERSIONS.get(self.version or "")
        if version is None:
            return rule
        known = {
            "knock": version.knock,
            "restricted": version.restricted_joins,
            "knock_restricted": version.knock_restricted,
        }
        return rule if known.get(rule, True) else "invite"

    def summary(self) -> dict[str, Any]:
        """`RoomSummary`: everything but the children."""
        chunk = self.facts.as_chunk()
        if self.allowed and self.join_rule in ("restricted", "knock_restricted"):
            chunk["allowed_room_ids"] = list(self.allowed)
        if self.encryption is not None:
            chunk["encryption"] = self.encryption
        if self.version is not None:
            chunk["room_version"] = self.version
        return chunk

    def wanted_children(self, *, suggested_only: bool) -> list[Child]:
        """In order."""
        return [child for child in self.children if child.suggested or not suggested_only]

    def chunk(self, *, suggested_only: bool) -> dict[str, Any]:
        """`SpaceHierarchyRoomsChunk`."""
        children = self.wanted_children(suggested_only=suggested_only)
        return {**self.summary(), "children_state": [child.as_stripped() for child in children]}


def allowed_rooms(join_rules: Mapping[str, Any]) -> list[str]:
    """The rooms whose members may join, of the content of `m.room.join_rules`."""
    allow = join_rules.get("allow")
    conditions = [each for each in allow[:MAX_ALLOWED] if isinstance(each, dict)] if isinstance(allow, list) else []
    named = [each.get("room_id") for each in conditions if each.get("type") == "m.room_membership"]
    return [room_id for room_id in named if isinstance(room_id, str)]
