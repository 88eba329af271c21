"""`invite_room_state`: what the inviting server tells of the room, before anybody here can know better.

Since v1.16 (MSC4311) its entries are whole events, which can be checked; "servers SHOULD consider their local
ecosystems", and servers in use still send the four keys of a stripped event, for rooms of version 12 too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from homeserver.federation.pdu_checks import PduChecks
from homeserver.federation.travel.stripped import MAX_STRIPPED, read_stripped
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.events import Event

MAX_BYTES: Final = 256 * 1024
"""Of all entries as they are stored. The specification names seven types, and members besides."""


async def read_invite_state(checks: PduChecks, shown: Sequence[Any], invite: Event) -> list[dict[str, Any]]:
    """The entries as stripped events, the invitation itself among them. Raises InvalidParam.

    Whole events that fail are refused since room version 12 and left out before.
    """
    if len(shown) > MAX_STRIPPED:
        raise InvalidParam(f"invite_room_state has more than {MAX_STRIPPED} events")
    believed = await _believed(checks, shown, invite)
    stripped = read_stripped(believed)
    if invite.room_version.room_id_is_create_event_id:
        _check_complete(stripped, len(shown))
    stripped = [each for each in stripped if not _is_of(each, invite)]
    stripped += read_stripped([invite.pdu])
    if len(orjson.dumps(stripped)) > MAX_BYTES:
        raise InvalidParam(f"invite_room_state has more than {MAX_BYTES} bytes")
    return stripped


async def _believed(checks: PduChecks, shown: Sequence[Any], invite: Event) -> list[Any]:
    whole = [each for each in shown if _is_whole(each)]
    results = await checks(whole, invite.room_version, room_id=invite.room_id)
    good = [each for each, result in zip(whole, results, strict=True) if isinstance(result, Event)]
    if len(good) < len(whole) and invite.room_version.room_id_is_create_event_id:
        raise InvalidParam("An event of invite_room_state is not what it seems, or of another room")
    return [each for each in shown if not _is_whole(each) or any(each is other for other in good)]


def _check_complete(stripped: Sequence[Mapping[str, Any]], count: int) -> None:
    if len(stripped) < count:
        raise InvalidParam("An entry of invite_room_state is not an event")
    if not any(each["type"] == "m.room.create" and each["state_key"] == "" for each in stripped):
        raise InvalidParam("invite_room_state lacks the m.room.create event")


def _is_whole(entry: Any) -> bool:
    return isinstance(entry, dict) and ("signatures" in entry or "hashes" in entry)


def _is_of(entry: Mapping[str, Any], invite: Event) -> bool:
    return (entry["type"], entry["state_key"]) == invite.key
