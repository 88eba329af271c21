"""Typing, receipts, presence and messages to devices that other servers send for their users.

Source: server-server API, "EDUs". Each receiver believes a server about its own users only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.protocol.identifiers import is_user_id, server_name_of
from homeserver.services.receipts.receipt import READ
from homeserver.services.receipts.remote import HeardReceipt
from homeserver.services.text_limits import MAX_DEVICE_ID_CHARACTERS, is_storable

if TYPE_CHECKING:
    from homeserver.services.presence.presence import Presence
    from homeserver.services.receipts.remote import RemoteReceipts
    from homeserver.services.to_device.send import SendToDevice
    from homeserver.services.typing_users import TypingUsers

MAX_RECEIPTS: Final = 1000
MAX_PRESENCES: Final = 500
MAX_MESSAGES: Final = 2000
MAX_TYPE_CHARACTERS: Final = 255
MAX_TS: Final = 2**53


@dataclass(frozen=True, slots=True)
class EphemeralReceivers:
    """One method an EDU type."""

    typing: TypingUsers
    receipts: RemoteReceipts
    presence: Presence
    to_device: SendToDevice

    async def hear_typing(self, origin: str, content: dict[str, Any]) -> None:
        """`m.typing`. Raises InvalidParam, Forbidden."""
        room_id, is_typing = content.get("room_id"), content.get("typing")
        if not isinstance(room_id, str) or not isinstance(is_typing, bool):
            raise InvalidParam("m.typing needs room_id and typing")
        await self.typing.hear(_user_of(origin, content.get("user_id")), room_id, is_typing)

    async def hear_receipts(self, origin: str, content: dict[str, Any]) -> None:
        """`m.receipt`: public ones only; others are not for us, and not looked at."""
        heard = {(each.room_id, each.user_id, each.thread_id): each for each in _receipts(origin, content)}
        if len(heard) > MAX_RECEIPTS:
            raise InvalidParam(f"At most {MAX_RECEIPTS} receipts at once")
        await self.receipts.hear(list(heard.values()))

    async def hear_presence(self, origin: str, content: dict[str, Any]) -> None:
        """`m.presence`."""
        push = content.get("push")
        if not isinstance(push, list) or len(push) > MAX_PRESENCES:
            raise InvalidParam(f"m.presence needs a list 'push' of at most {MAX_PRESENCES}")
        told = {
            each["user_id"]: each for each in push if isinstance(each, dict) and _is_of(origin, each.get("user_id"))
        }
        await self.presence.hear(told)

    async def hear_to_device(self, origin: str, content: dict[str, Any]) -> None:
        """`m.direct_to_device`. Raises InvalidParam, Forbidden."""
        sender = _user_of(origin, content.get("sender"))
        event_type, message_id, messages = content.get("type"), content.get("message_id"), content.get("messages")
        if not isinstance(event_type, str) or not is_storable(event_type, MAX_TYPE_CHARACTERS):
            raise InvalidParam("A message to a device has a type")
        if not isinstance(message_id, str) or not isinstance(messages, dict):
            raise InvalidParam("Messages to devices need message_id and messages")
        # "An arbitrary ID for the message that is unique": of that server.
        digest = hashlib.sha256(orjson.dumps([origin, sender, message_id])).digest()
        await self.to_device.hear(sender, event_type, digest, _messages(messages))


def _user_of(origin: str, user_id: object) -> str:
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise InvalidParam("That is no user id")
    if server_name_of(user_id) != origin:
        raise Forbidden("That is not a user of the server that sends it")
    return user_id


def _is_of(origin: str, user_id: object) -> bool:
    return isinstance(user_id, str) and is_user_id(user_id) and server_name_of(user_id) == origin


def _receipts(origin: str, content: dict[str, Any]) -> Iterator[HeardReceipt]:
    for room_id, by_type in content.items():
        users = by_type.get(READ) if isinstance(by_type, dict) else None
        for user_id, told in users.items() if isinstance(users, dict) else ():
            receipt = _receipt(room_id, user_id, told) if _is_of(origin, user_id) else None
            if receipt is not None:
                yield receipt


def _receipt(room_id: str, user_id: str, told: object) -> HeardReceipt | None:
    if not isinstance(told, dict) or not isinstance(told.get("event_ids"), list) or not told["event_ids"]:
        return None
    # "The extremity event IDs that the user has read up to"; servers send one.
    event_id, data = told["event_ids"][-1], told.get("data")
    ts = data.get("ts") if isinstance(data, dict) else None
    thread_id = data.get("thread_id", "") if isinstance(data, dict) else ""
    if not all(isinstance(each, str) and is_storable(each, 255) for each in (room_id, event_id, thread_id)):
        return None
    return HeardReceipt(room_id, user_id, thread_id, event_id, ts if type(ts) is int and 0 <= ts < MAX_TS else 0)


def _messages(messages: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(user, device or `*`, content) of those that could be for somebody."""
    found = []
    for user_id, by_device in messages.items():
        for device_id, content in by_device.items() if isinstance(by_device, dict) else ():
            if isinstance(content, dict) and is_storable(device_id, MAX_DEVICE_ID_CHARACTERS):
                found.append((user_id, device_id, content))
    if len(found) > MAX_MESSAGES:
        raise InvalidParam(f"At most {MAX_MESSAGES} messages at once")
    return found
