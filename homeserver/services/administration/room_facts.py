"""What administrators are told of a room: its state at a glance, and numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from homeserver.storage.administered_rooms import KnownRoom, Members, StateBody

CREATE: Final = "m.room.create"
NAME: Final = "m.room.name"
ALIAS: Final = "m.room.canonical_alias"
ENCRYPTION: Final = "m.room.encryption"
JOIN_RULES: Final = "m.room.join_rules"
GUEST_ACCESS: Final = "m.room.guest_access"
VISIBILITY: Final = "m.room.history_visibility"
TOPIC: Final = "m.room.topic"
AVATAR: Final = "m.room.avatar"
TOMBSTONE: Final = "m.room.tombstone"
LISTED_TYPES: Final = (CREATE, NAME, ALIAS, ENCRYPTION, JOIN_RULES, GUEST_ACCESS, VISIBILITY)
DETAILED_TYPES: Final = (*LISTED_TYPES, TOPIC, AVATAR, TOMBSTONE)
# Tools stumble over other words, and such mean nothing in the specification either.
JOIN_RULE_WORDS: Final = frozenset({"public", "knock", "invite", "private", "restricted", "knock_restricted"})
GUEST_ACCESS_WORDS: Final = frozenset({"can_join", "forbidden"})
VISIBILITY_WORDS: Final = frozenset({"invited", "joined", "shared", "world_readable"})
_NOTHING: Final[Mapping[str, Any]] = {}
NOBODY: Final = Members(0, 0)


@dataclass(slots=True)
class RoomFacts:
    """As far as it has been looked up."""

    room: KnownRoom
    contents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    creator: str | None = None
    members: Members = NOBODY
    state_events: int = 0
    is_public: bool = False

    def learn(self, state: StateBody) -> None:
        """Anybody may have written it: what is no JSON, or no object, says nothing."""
        try:
            content = orjson.loads(state.body).get("content")
        except (orjson.JSONDecodeError, AttributeError):
            content = None
        self.contents[state.type] = content if isinstance(content, dict) else _NOTHING
        if state.type == CREATE:
            self.creator = state.sender

    def text(self, event_type: str, key: str) -> str | None:
        """What the state says; None where it says nothing, or no text."""
        value = self.contents.get(event_type, _NOTHING).get(key)
        return value if isinstance(value, str) else None

    @property
    def join_rule(self) -> str | None:
        return _known(self.text(JOIN_RULES, "join_rule"), JOIN_RULE_WORDS)

    @property
    def guest_access(self) -> str | None:
        return _known(self.text(GUEST_ACCESS, "guest_access"), GUEST_ACCESS_WORDS)

    @property
    def history_visibility(self) -> str | None:
        return _known(self.text(VISIBILITY, "history_visibility"), VISIBILITY_WORDS)

    @property
    def name(self) -> str | None:
        return self.text(NAME, "name") or None

    @property
    def canonical_alias(self) -> str | None:
        return self.text(ALIAS, "alias") or None

    @property
    def is_federatable(self) -> bool:
        return self.contents.get(CREATE, _NOTHING).get("m.federate") is not False

    def has(self, term: str) -> bool:
        """Whether the name, the alias without its server, or the id has it; only in the id capitals matter."""
        small = term.lower()
        alias = (self.canonical_alias or "").partition(":")[0]
        return small in (self.name or "").lower() or small in alias.lower() or term in self.room.room_id


def _known(word: str | None, words: Collection[str]) -> str | None:
    return word if word in words else None
