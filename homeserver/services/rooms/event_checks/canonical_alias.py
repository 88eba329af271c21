"""m.room.canonical_alias: new aliases must exist and point to this room (PUT /state, 400)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.errors import BadAlias, InvalidParam
from homeserver.protocol.identifiers import is_room_alias
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.storage.aliases import Aliases

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_ALT_ALIASES = 500


@dataclass(frozen=True, slots=True)
class CheckCanonicalAlias:
    """One statement where the event names aliases that the room did not have before."""

    queries: Queries
    aliases: Aliases

    async def __call__(self, room: LiveRoom, content: Mapping[str, Any]) -> None:
        """Raises InvalidParam for what is no alias, BadAlias for one that does not point to the room."""
        standing = room.fetch_auth_event("m.room.canonical_alias", "")
        # "Servers do not validate aliases which are being removed or are already present in the state event."
        known = set() if standing is None else set(_strings_in(standing.content))
        wished = [alias for alias in aliases_in(content) if alias not in known]
        if not wished:
            return
        pointing = await self.aliases.pointing(self.queries, wished, room.room_id)
        for alias in wished:
            if alias not in pointing:
                raise BadAlias(f"The alias {alias} does not point to this room")


def aliases_in(content: Mapping[str, Any]) -> list[str]:
    """All aliases of the content, each once. Raises InvalidParam where one of them is none."""
    alias, alternatives = content.get("alias"), content.get("alt_aliases", [])
    if not isinstance(alternatives, list) or len(alternatives) > MAX_ALT_ALIASES:
        raise InvalidParam(f"'alt_aliases' must be a list of at most {MAX_ALT_ALIASES} aliases")
    named = [*([] if alias is None or alias == "" else [alias]), *alternatives]
    for each in named:
        if not is_room_alias(each):
            raise InvalidParam("'alias' and 'alt_aliases' must be room aliases")
    return list(dict.fromkeys(named))


def _strings_in(content: Mapping[str, Any]) -> list[str]:
    alternatives = content.get("alt_aliases")
    named = [content.get("alias"), *(alternatives if isinstance(alternatives, list) else ())]
    return [each for each in named if isinstance(each, str)]
