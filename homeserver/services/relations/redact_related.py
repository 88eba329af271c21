"""PUT /redact with `with_rel_types`: what relates to the event is redacted with it (MSC3912)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import BadJson, Forbidden, InvalidParam
from homeserver.protocol.relations import MAX_REL_TYPE_BYTES
from homeserver.services.requester import Requester
from homeserver.services.rooms.redact_event import RedactEvent
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.text_limits import is_storable
from homeserver.storage.relations import Relations

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

STABLE: Final = "with_rel_types"
UNSTABLE: Final = "org.matrix.msc3912.with_relations"
EVERY_KIND: Final = "*"
MAX_KINDS: Final = 100
# Each is an event. Whoever wants more asks again: those that are redacted are related no longer.
MAX_RELATED: Final = 500


@dataclass(frozen=True, slots=True)
class RedactWithRelated:
    """One verb."""

    queries: Queries
    rows: Relations
    cache: RoomCache
    redact: RedactEvent

    async def __call__(
        self, requester: Requester, room_id: str, event_id: str, content: Mapping[str, Any], txn_id: str
    ) -> str:
        """Redact; returns the id of the redaction of the event itself. What the requester has not the power to redact stays:
        "it is ignored". Raises what RedactEvent does, BadJson, InvalidParam.
        """
        kinds = rel_types_of(content)
        said = {key: value for key, value in content.items() if key not in (STABLE, UNSTABLE)}
        redaction_id = await self.redact(requester, room_id, event_id, said, txn_id)
        if kinds:
            for related_id in await self._related(requester, room_id, event_id, kinds):
                try:
                    # Each is an event of its own, built on the one before.
                    await self.redact.also(requester, room_id, related_id, said)
                except (Forbidden, InvalidParam):
                    # Not in his power after all, or gone meanwhile.
                    continue
        return redaction_id

    async def _related(
        self, requester: Requester, room_id: str, event_id: str, kinds: Collection[str]
    ) -> list[str]:  # fmt: skip
        room = await self.cache.get(room_id)
        nobody = f"@:{room.server_name}"
        found = await self.rows.direct(
            self.queries,
            room.room_nid,
            event_id,
            rel_types=None if EVERY_KIND in kinds else kinds,
            sender=None if self.redact.may_redact(room, requester, nobody) else requester.user_id,
            limit=MAX_RELATED,
        )
        return [related_id for related_id, sender in found if self.redact.may_redact(room, requester, sender)]


def rel_types_of(content: Mapping[str, Any]) -> Collection[str]:
    """The kinds that go with the event. Raises BadJson, InvalidParam."""
    kinds = content.get(STABLE, content.get(UNSTABLE, []))
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise BadJson(f"'{STABLE}' must be a list of relation types")
    if len(kinds) > MAX_KINDS:
        raise InvalidParam(f"'{STABLE}' may have {MAX_KINDS} entries at most")
    # No event relates in a way that cannot be stored.
    return frozenset(kind for kind in kinds if is_storable(kind, MAX_REL_TYPE_BYTES))
