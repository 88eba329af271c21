"""Call memberships (MatrixRTC) as clients announce them, and what ends them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from homeserver.services.voice_rosters.foci import is_elsewhere
from homeserver.services.voice_rosters.seat import Member

if TYPE_CHECKING:
    from homeserver.services.rooms.live_room import LiveRoom

CALL_MEMBER: Final = "org.matrix.msc3401.call.member"
"""A state event. Its key names user and device in one of several ways, so content and sender say whose it is."""


class Ending(NamedTuple):
    """The state that ends a membership, and when the membership was announced."""

    state_key: str
    content: dict[str, Any]
    announced_ms: int


def endings(room: LiveRoom, member: Member, ours: Collection[str], now_ms: int) -> Iterator[Ending]:
    """What has to be set so that this device is in no call of the room at `ours` (`foci.py`), by the committed state."""
    all_of_room = room.state.of_type(CALL_MEMBER)
    for state_key, event in all_of_room.items():
        if event.sender != member.user_id:
            continue
        content = without_device(event.content, member.device_id)
        own = _of_device(event.content, member.device_id)
        if content is not None and not is_elsewhere(own, all_of_room.values(), ours, now_ms):
            yield Ending(state_key, content, event.origin_server_ts)


def _of_device(content: Mapping[str, Any], device_id: str) -> Mapping[str, Any]:
    memberships = content.get("memberships")
    listed = memberships if isinstance(memberships, list) else []
    return next((each for each in listed if isinstance(each, dict) and each.get("device_id") == device_id), content)


def without_device(content: Mapping[str, Any], device_id: str) -> dict[str, Any] | None:
    """The content that ends a device's membership; None where the event is not about that device.

    MSC3401 had a list of all of a user's devices, MSC4143 has one event per device, whose content is empty after the end.
    """
    memberships = content.get("memberships")
    if isinstance(memberships, list):
        others = [each for each in memberships if not (isinstance(each, dict) and each.get("device_id") == device_id)]
        return {**content, "memberships": others} if len(others) < len(memberships) else None
    return {} if content.get("device_id") == device_id else None
