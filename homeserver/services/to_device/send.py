"""PUT /sendToDevice: one request's messages to devices here, and to those of other servers. Spec: "Send-to-Device"."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors, identifiers
from homeserver.services.text_limits import MAX_DEVICE_ID_CHARACTERS, check_text
from homeserver.storage.positions import StreamPosition
from homeserver.storage.to_device import OutgoingMessage, RemoteMessages, ToDeviceMessages

if TYPE_CHECKING:
    from homeserver.services.announcer import Announcer
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.services.to_device.letterboxes import Letterboxes
    from homeserver.storage.database import Queries

# Clients send to some hundred devices at once; a room of thousands is several requests.
MAX_MESSAGES_PER_REQUEST = 10_000
# As events: other servers take no larger ones, and `*` multiplies one message by all of a user's devices.
MAX_MESSAGE_BYTES = 65_536
MAX_EVENT_TYPE_CHARACTERS = 255
# "An arbitrary ID for the message that is unique", at most 32 characters.
MESSAGE_ID_BYTES = 16

SentAwayListener = Callable[[Collection[str]], None]
DeliveredListener = Callable[[Collection[tuple[str, str]]], None]
Messages = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""User id -> device id or `*` -> content."""


@dataclass(frozen=True, slots=True)
class SendToDevice:
    """One verb. `stream` counts requests; all messages of one request have its position."""

    queries: Queries
    messages: ToDeviceMessages
    stream: StreamPosition
    letterboxes: Letterboxes
    announcer: Announcer
    clock: Clock
    server_name: str
    on_sent_away: list[SentAwayListener] = field(default_factory=list)
    """Called after the commit with the servers for whose users something was stored; synchronous, and quick."""
    on_delivered: list[DeliveredListener] = field(default_factory=list)
    """The same with (user id, device id) of the devices here that got something."""

    async def send(self, requester: Requester, event_type: str, txn_id: str, messages: Messages) -> None:
        """Store the messages, once for each transaction id, and wake who gets one. One statement.

        Devices and users that do not exist are passed over. Raises InvalidParam, TooLarge.
        """
        check_text(event_type, "eventType", MAX_EVENT_TYPE_CHARACTERS)
        _check_number(messages)
        local = [
            OutgoingMessage(user_id, device_id, _event(requester.user_id, event_type, content))
            for user_id, by_device in messages.items()
            if identifiers.parse_user_id(user_id).server_name == self.server_name
            for device_id, content in by_device.items()
        ]
        remote = self._remote(requester.user_id, event_type, messages)
        if not local and not remote:
            return
        digest = _digest(requester.user_id, requester.device_id or "", event_type, txn_id)
        self.announcer.wake(users=await self._store(digest, local, remote))
        if remote:
            for listener in self.on_sent_away:
                listener([each.destination for each in remote])

    async def hear(
        self, sender: str, event_type: str, digest: bytes, messages: Sequence[tuple[str, str, Mapping[str, Any]]]
    ) -> None:
        """Messages of a user of another server: (user, device or `*`, content). `digest`: once for each."""
        local = [
            OutgoingMessage(user_id, device_id, _event(sender, event_type, content))
            for user_id, device_id, content in messages
            if identifiers.is_user_id(user_id) and identifiers.server_name_of(user_id) == self.server_name
        ]
        if local:
            self.announcer.wake(users=await self._store(digest, local, ()))

    async def _store(
        self, digest: bytes, local: Sequence[OutgoingMessage], remote: Sequence[RemoteMessages]
    ) -> set[str]:
        """Store the messages and put them into letterboxes in memory. Returns who got one."""
        async with self.stream.writing() as (position,):
            try:
                delivered = await self.messages.send(
                    self.queries, digest, self.clock.now_ms(), position, local, remote
                )  # fmt: skip
            except BaseException:
                self.letterboxes.forget_users({message.user_id for message in local})
                raise
            for delivery in delivered:
                self.letterboxes.put((delivery.user_id, delivery.device_id), position, delivery.message)
        for listener in self.on_delivered:
            listener({(delivery.user_id, delivery.device_id) for delivery in delivered})
        return {delivery.user_id for delivery in delivered}

    def _remote(self, sender: str, event_type: str, messages: Messages) -> list[RemoteMessages]:
        """One `m.direct_to_device` EDU for each other server."""
        by_server: dict[str, dict[str, Any]] = {}
        for user_id, by_device in messages.items():
            server = identifiers.server_name_of(user_id)
            if server != self.server_name and by_device:
                by_server.setdefault(server, {})[user_id] = by_device
        return [
            RemoteMessages(server, _edu_content(sender, event_type, addressed))
            for server, addressed in by_server.items()
        ]


def _check_number(messages: Messages) -> None:
    if sum(len(by_device) for by_device in messages.values()) > MAX_MESSAGES_PER_REQUEST:
        raise errors.InvalidParam(f"At most {MAX_MESSAGES_PER_REQUEST} messages can be sent at once")
    for by_device in messages.values():
        for device_id in by_device:
            check_text(device_id, "device id", MAX_DEVICE_ID_CHARACTERS)


def _event(sender: str, event_type: str, content: Mapping[str, Any]) -> bytes:
    event = orjson.dumps({"content": content, "sender": sender, "type": event_type})
    if len(event) > MAX_MESSAGE_BYTES:
        raise errors.TooLarge(f"A message to a device has at most {MAX_MESSAGE_BYTES} bytes")
    return event


def _edu_content(sender: str, event_type: str, messages: Mapping[str, Any]) -> bytes:
    message_id = secrets.token_hex(MESSAGE_ID_BYTES)
    return orjson.dumps({"message_id": message_id, "messages": messages, "sender": sender, "type": event_type})


def _digest(*parts: str) -> bytes:
    """Of all that identifies a request; JSON keeps the parts apart."""
    return hashlib.sha256(orjson.dumps(parts)).digest()
