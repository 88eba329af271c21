"""Call memberships (MatrixRTC) as clients announce them, and what ends them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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


def endings(room: LiveRoom, member: Member) -> Iterator[Ending]:
    """What has to be set so that this device is in no call of the room, by the committed state."""
    for state_key, event in room.state.of_type(CALL_MEMBER).items():
        if event.sender != member.user_id:
            continue
        content = without_device(event.content, member.device_id)
        if content is not None:
            yield Ending(state_key, content, event.origin_server_ts)


def without_device(content: Mapping[str, Any], device_id: str) -> dict[str, Any] | None:
    """The content that ends a device's membership; None where the event is not about that device.

    MSC3401 had a list of all of a user's devices, MSC4143 has one event per device, whose content is empty after the end.
    """
    memberships = content.get("memberships")
    if isinstance(memberships, list):
        others = [each for each in memberships if not (isinstance(each, dict) and each.get("device_id") == device_id)]
        return {**content, "memberships": others} if len(others) < len(memberships) else None
    return {} if content.get("device_id") == device_id else None
