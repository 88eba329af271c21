"""A bot's place in a MatrixRTC call as state events announce it (the mode that Element Call calls compatibility)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any, TypeGuard

from voice.bot.matrix import MatrixClient, Refused

log = logging.getLogger(__name__)

EVENT_TYPE = "org.matrix.msc3401.call.member"
EXPIRES_MS = 4 * 60 * 60 * 1000
LEAVE_DELAY_MS = 18_000
RESTART_SECONDS = 4.0
MAX_URL_CHARACTERS = 2_000


@dataclass(slots=True)
class Membership:
    """Announced on `enter`, kept alive, taken back on `leave`; the server takes it back where we vanish (MSC4140)."""

    client: MatrixClient
    room_id: str
    service_url: str
    _delay_id: str = ""
    _keeper: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        leave = await self.client.put_state(self.room_id, EVENT_TYPE, self._state_key, {}, LEAVE_DELAY_MS)
        self._delay_id = leave["delay_id"]
        await self.client.put_state(self.room_id, EVENT_TYPE, self._state_key, self._content())
        self._keeper = asyncio.create_task(self._keep())

    async def leave(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        try:
            await self.client.update_delayed(self._delay_id, "send")
        except Refused:
            await self.client.put_state(self.room_id, EVENT_TYPE, self._state_key, {})

    @property
    def _state_key(self) -> str:
        # With "_" in front it is no user's own key by itself: rooms before version with MSC3757 want it so.
        return f"_{self.client.user_id}_{self.client.device_id}_m.call"

    def _content(self) -> dict[str, Any]:
        me = self.client
        focus = {"type": "livekit", "livekit_service_url": self.service_url, "livekit_alias": self.room_id}
        return {
            "application": "m.call",
            "call_id": "",
            "scope": "m.room",
            "device_id": me.device_id,
            "membershipID": f"{me.user_id}:{me.device_id}",
            "expires": EXPIRES_MS,
            "m.call.intent": "audio",
            "focus_active": {"type": "livekit", "focus_selection": "multi_sfu"},
            "foci_preferred": [focus],
        }

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RESTART_SECONDS)
            try:
                await self.client.update_delayed(self._delay_id, "restart")
            except Exception as error:
                log.warning("the delayed leave could not be restarted: %s", error)


def members_of(state: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(user id, device id) of those who are in the call of a room."""
    return [(event["sender"], event["content"]["device_id"]) for event in state if _is_in_call(event)]


def services_of(state: list[dict[str, Any]]) -> set[str]:
    """Token services of the SFUs at which they publish."""
    foci = [event["content"].get("foci_preferred") for event in state if _is_in_call(event)]
    first = [each[0] for each in foci if isinstance(each, list) and each and isinstance(each[0], dict)]
    return {url for each in first if _is_service(url := each.get("livekit_service_url"))}


def _is_service(url: object) -> TypeGuard[str]:
    """Members write what they like. With a query, what we add to the address would not be part of its path."""
    is_url = isinstance(url, str) and len(url) <= MAX_URL_CHARACTERS and url.startswith(("https://", "http://"))
    return is_url and "?" not in str(url) and "#" not in str(url)


def _is_in_call(event: dict[str, Any]) -> bool:
    content = event["content"]
    is_call = event["type"] == EVENT_TYPE and content.get("application") == "m.call"
    return is_call and isinstance(content.get("device_id"), str)
