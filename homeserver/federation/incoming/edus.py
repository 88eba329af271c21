"""What is ephemeral in a transaction: typing, receipts, presence, messages to devices, changes of keys.

Source: server-server API, "EDUs"; client-server API, "Server Access Control Lists".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from homeserver.federation.room_acl import RoomAcl
from homeserver.protocol.errors import MatrixError, Unavailable

MAX_CONTENT_BYTES: Final = 128 * 1024
"""Twice an event: what other servers keep to is 64 KiB."""
MAX_ROOMS: Final = 500
"""That the receipts and the typing of one transaction are about."""
SECONDS: Final = 10
"""For one of them."""
SECONDS_IN_ALL: Final = 60
"""For those of a transaction; then it is not acknowledged, and comes again."""

log = logging.getLogger(__name__)

EduReceiver = Callable[[str, dict[str, Any]], Awaitable[None]]
"""(origin, content). Whatever is wrong with the content is told by a MatrixError; the others go on."""


@dataclass(frozen=True, slots=True)
class EduReceivers:
    """By type. Who deals with one registers in composition; types that nobody deals with are ignored."""

    acl: RoomAcl
    seconds: float = SECONDS
    _receivers: dict[str, EduReceiver] = field(default_factory=dict)

    def register(self, edu_type: str, receiver: EduReceiver) -> None:
        """Each type once."""
        assert edu_type not in self._receivers, edu_type
        self._receivers[edu_type] = receiver

    async def deliver(self, origin: str, edus: Sequence[Any]) -> None:
        """In order. What is wrong with one harms that one only. Raises Unavailable: none is lost, they are sent again."""
        known = [each for each in edus if _is_edu(each) and each["edu_type"] in self._receivers]
        if not known:
            return
        denying = await self._denying(origin, known)
        try:
            async with asyncio.timeout(SECONDS_IN_ALL):
                for edu in known:
                    content = _without_rooms(edu["edu_type"], edu["content"], denying)
                    if content is not None:
                        await self._deliver(origin, edu["edu_type"], content)
        except TimeoutError as error:
            raise Unavailable("It took too long to deal with the EDUs") from error

    async def _denying(self, origin: str, edus: Sequence[dict[str, Any]]) -> set[str]:
        """Rooms that the sender may say nothing about; those beyond the bound are not looked up, and count too."""
        named = _rooms_of(edus)
        checked = [room_id for room_id in named if "\0" not in room_id][:MAX_ROOMS]
        return set(named).difference(checked) | await self.acl.denying(checked, origin)

    async def _deliver(self, origin: str, edu_type: str, content: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                await self._receivers[edu_type](origin, content)
        except Unavailable:
            raise
        except MatrixError as error:
            log.info("%s sent a %s that is not valid: %s", origin, edu_type, error)
        except TimeoutError:
            log.warning("a %s of %s took longer than %s seconds", edu_type, origin, self.seconds)
        except Exception:
            log.exception("a %s of %s could not be dealt with", edu_type, origin)


def _is_edu(edu: object) -> bool:
    if not isinstance(edu, dict) or not isinstance(edu.get("edu_type"), str):
        return False
    return isinstance(edu.get("content"), dict) and _is_small(edu["content"])


def _is_small(content: dict[str, Any]) -> bool:
    try:
        return len(orjson.dumps(content)) <= MAX_CONTENT_BYTES
    except orjson.JSONEncodeError:  # numbers that canonical JSON does not have
        return False


def _rooms_of(edus: Sequence[dict[str, Any]]) -> list[str]:
    """The rooms that receipts and typing are about."""
    named: dict[str, None] = {}
    for edu in edus:
        content = edu["content"]
        if edu["edu_type"] == "m.typing" and isinstance(content.get("room_id"), str):
            named[content["room_id"]] = None
        elif edu["edu_type"] == "m.receipt":
            named.update(dict.fromkeys(content))
    return list(named)


def _without_rooms(edu_type: str, content: dict[str, Any], denying: set[str]) -> dict[str, Any] | None:
    """Without what concerns rooms that deny the sender; None where nothing is left."""
    if edu_type == "m.typing" and content.get("room_id") in denying:
        return None
    if edu_type == "m.receipt" and not denying.isdisjoint(content):
        return {room_id: receipts for room_id, receipts in content.items() if room_id not in denying} or None
    return content
