"""Files among messages: a right of its own, where a room has one (`org.voicechat.attach`, see protocol/voice_channel.py).

Other servers do not know it, and in encrypted rooms nobody sees what a message is: there it asks for good will.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import Forbidden
from homeserver.protocol.voice_channel import ATTACH

if TYPE_CHECKING:
    from homeserver.protocol.builder import EventDraft
    from homeserver.services.rooms.live_room import LiveRoom

FILES: Final = frozenset({"m.image", "m.file", "m.audio", "m.video"})


def check_attachment(room: LiveRoom, draft: EventDraft) -> None:
    """Raises Forbidden for a file from somebody who has not the level for it."""
    if draft.type != "m.room.message":
        return
    said = [draft.content, draft.content.get("m.new_content")]
    if not any(isinstance(each, dict) and _is_file(each.get("msgtype")) for each in said):
        return
    levels = room.power_levels()
    needed = levels.events.get(ATTACH)
    if needed is not None and levels.of_user(draft.sender) < needed:
        raise Forbidden("You may not send files in this room")


def _is_file(msgtype: object) -> bool:
    return isinstance(msgtype, str) and msgtype in FILES
