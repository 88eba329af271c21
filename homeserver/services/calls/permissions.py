"""Who may do what in the calls of a room: one table of power levels, asked for each token and after each change.

| what                         | key in `events` of the power levels                         | without the key          |
|------------------------------|-------------------------------------------------------------|--------------------------|
| to join                      | the types of call membership, see CALL_MEMBERSHIPS          | see `level_to_join`      |
| to be heard                  | org.voicechat.voice.speak                                   | what joining needs       |
| to be seen                   | org.voicechat.voice.video                                   | what joining needs       |
| to share a screen            | org.voicechat.voice.screen                                  | what joining needs       |
| to be heard however many talk | org.voicechat.voice.priority                               | what a kick needs        |

Nothing here asks the network or the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import voice_channel
from homeserver.protocol.auth.power_levels import Level, PowerLevels
from homeserver.protocol.errors import Forbidden
from homeserver.services.visibility import NOT_IN_ROOM
from voice.sfu.backend import Source
from voice.tokens import ROOM_SLOT

if TYPE_CHECKING:
    from homeserver.services.rooms.live_room import LiveRoom

CALL_MEMBERSHIPS: Final = (
    ("org.matrix.msc3401.call.member", True),
    ("org.matrix.msc4143.rtc.member", False),
    ("m.rtc.member", False),
)
"""How clients say that they are in a call, and whether it is a state event. Clients send one of them only."""
SLOTS: Final = ("m.rtc.slot", "org.matrix.msc4143.rtc.slot")
"""State by which a room opens and closes its calls (MSC4143), by the slot's id."""
DECIDES: Final = frozenset({"m.room.power_levels", "m.room.tombstone", *SLOTS})
"""State that may change everybody's rights."""

NO_CALL: Final = "You may not join calls in this room"


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do in a call."""

    sources: Sequence[Source]
    """What he may publish."""
    priority: bool


def rights_in_call(room: LiveRoom, user_id: str, slot_id: str) -> Rights:
    """What the committed state of the room allows this user. Raises Forbidden where he may not even join."""
    if user_id not in room.joined:
        raise Forbidden(NOT_IN_ROOM)
    _check_open(room, slot_id)
    return rights_by_levels(room.power_levels(), user_id)


def rights_by_levels(levels: PowerLevels, user_id: str) -> Rights:
    """What the table says of a member of the room. Raises Forbidden where he may not join."""
    level, to_join = levels.of_user(user_id), level_to_join(levels)
    if level < to_join:
        raise Forbidden(NO_CALL)

    def may(key: str) -> bool:
        return level >= levels.events.get(key, to_join)

    sources: list[Source] = []
    if may(voice_channel.VIDEO):
        sources.append("camera")
    if may(voice_channel.SPEAK):
        sources.append("microphone")
    if may(voice_channel.SCREEN):
        sources += ["screen_share", "screen_share_audio"]
    return Rights(tuple(sources), level >= levels.events.get(voice_channel.PRIORITY, levels.kick))


def level_to_join(levels: PowerLevels) -> Level:
    """The highest that the room names for a type of call membership; where it names none, the least that sending one needs.

    Clients have a switch that closes calls, and it raises the one type they know. Whoever was not let in by that must not
    come in by another one, which rooms of ours all name.
    """
    named = [levels.events[event_type] for event_type, _ in CALL_MEMBERSHIPS if event_type in levels.events]
    if named:
        return max(named)
    return min(levels.to_send(event_type, is_state=is_state) for event_type, is_state in CALL_MEMBERSHIPS)


def _check_open(room: LiveRoom, slot_id: str) -> None:
    if room.state.get("m.room.tombstone") is not None:
        raise Forbidden("This room has been replaced by another one")
    slot = next((event for event in (room.state.get(each, slot_id) for each in SLOTS) if event is not None), None)
    # The call of the room as a whole needs no slot: clients from before MSC4143 make none.
    if slot is None and slot_id != ROOM_SLOT:
        raise Forbidden("There is no such call in this room")
    if slot is not None and not slot.content:
        raise Forbidden("This call is closed")
