"""What an answer is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeserver.services.sight import Sight, sight_of
from homeserver.services.sync.sources import KeyCounts
from homeserver.services.tokens import StreamToken
from homeserver.storage.memberships import Membership


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Taken in one moment."""

    now: StreamToken
    rooms: Mapping[str, Membership]
    ignored: frozenset[str]
    key_counts: KeyCounts | None

    @property
    def sight(self) -> Sight:
        """The rooms the reader has joined, and those that are closed to him."""
        return sight_of(self.rooms)
