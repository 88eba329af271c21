"""How people of a story get into a voice channel, and what they then say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.cast import Client
from tests.voice.callers import sfu_get
from tests.voice.recording_backend import RecordingBackend
from voice import tokens
from voice.sfu.backend import LeaveReason

CALL_MEMBER = "org.matrix.msc3401.call.member"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody in a channel, as the SFU knows him."""

    client: Client
    room_id: str
    sfu: RecordingBackend

    @property
    def sfu_room(self) -> str:
        return tokens.sfu_room(self.room_id)

    @property
    def identity(self) -> str:
        return tokens.plain_identity(self.client.user_id, self.client.device_id)

    def change(self, **state: Any) -> None:
        """Mute, talk, share: fields of ParticipantState."""
        self.sfu.change(self.sfu_room, self.identity, **state)

    def leave(self, reason: LeaveReason = LeaveReason.LEFT) -> None:
        assert self.sfu.leave(self.sfu_room, self.identity, reason)

    async def join(self, **state: Any) -> Caller:
        """Into the SFU, with a new token."""
        self.sfu.join((await sfu_get(self.client, self.room_id))["jwt"], **state)
        return self

    @property
    def state_key(self) -> str:
        return f"_{self.client.user_id}_{self.client.device_id}_m.call"

    async def announce(self, service_url: str | None = None, selection: str = "multi_sfu") -> None:
        """The call membership, as Element Call sends it; `service_url`: where he publishes."""
        focus = {"type": "livekit", "livekit_service_url": service_url, "livekit_alias": self.room_id}
        content = {
            "application": "m.call",
            "call_id": "",
            "scope": "m.room",
            "device_id": self.client.device_id,
            "expires": 14_400_000,
            "focus_active": {"type": "livekit", "focus_selection": selection},
            "foci_preferred": [] if service_url is None else [focus],
        }
        await self.client.set_state(self.room_id, CALL_MEMBER, content, self.state_key)

    async def membership(self) -> Any:
        """Its content as the room has it now."""
        return await self.client.state(self.room_id, CALL_MEMBER, self.state_key)


async def sit(client: Client, room_id: str, sfu: RecordingBackend, **state: Any) -> Caller:
    """Announce, get a token, join."""
    caller = Caller(client, room_id, sfu)
    await caller.announce()
    return await caller.join(**state)


def roster(answer: Any, room_id: str) -> Any:
    """The newest roster in a sync answer; None where it has none."""
    contents = answer.ephemeral(room_id, "org.voicechat.voice")
    return contents[-1]["participants"] if contents else None


def channels(answer: Any, space_id: str) -> Any:
    """What a sync answer says of the channels of a space."""
    contents = answer.ephemeral(space_id, "org.voicechat.voice_channels")
    return contents[-1]["channels"] if contents else None
