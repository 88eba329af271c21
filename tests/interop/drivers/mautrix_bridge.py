"""A bridge's bot made of mautrix's own parts: an application service that encrypts without /sync, driven by JSON lines.

As mautrix.bridge.e2ee does it: a device without a login (MSC4190), keys, device lists and counts from transactions.
"""

from __future__ import annotations

import logging
import sys

import lines
from mautrix.appservice import AppService
from mautrix.appservice.state_store import ASStateStore
from mautrix.client import Client, MemoryStateStore
from mautrix.crypto import OlmMachine
from mautrix.types import EventType, Membership, MessageType, TextMessageEventContent
from mautrix_crypto import CryptoStore, SharedRooms


class StateStore(ASStateStore, MemoryStateStore):
    """Both of mautrix's, in memory."""

    def __init__(self) -> None:
        MemoryStateStore.__init__(self)
        ASStateStore.__init__(self)


class Bridge:
    def __init__(self) -> None:
        self._messages = lines.Inbox()
        self._typing = lines.Inbox()
        self._appservice: AppService
        self._client: Client

    async def start(self, homeserver: str, domain: str, port: int, as_token: str, hs_token: str) -> dict[str, str]:
        store = StateStore()
        self._appservice = AppService(
            homeserver, domain, as_token, hs_token, "bridgebot", "bridge",
            state_store=store, ephemeral_events=True, encryption_events=True,
        )  # fmt: skip
        await self._appservice.start("127.0.0.1", port)
        await self._appservice.intent.ensure_registered()
        self._client = Client(base_url=homeserver, mxid=self._appservice.bot_mxid, state_store=store)
        self._client.api.token = as_token
        await self._client.create_device_msc4190(device_id="", initial_display_name="Bridge")
        self._crypto = OlmMachine(self._client, CryptoStore(self._client.mxid, "pickle"), SharedRooms(store))
        self._appservice.otk_handler = self._crypto.handle_as_otk_counts
        self._appservice.device_list_handler = self._crypto.handle_as_device_lists
        self._appservice.to_device_handler = self._crypto.handle_as_to_device_event
        await self._crypto.load()
        await self._crypto.share_keys()
        self._client.crypto = self._crypto
        self._appservice.matrix_event_handler(self._on_event)
        return {"user_id": self._client.mxid, "device_id": self._client.device_id}

    async def _on_event(self, event: object) -> None:
        if event.type == EventType.ROOM_MEMBER and event.state_key == self._client.mxid:
            if event.content.membership == Membership.INVITE:
                await self._client.join_room(event.room_id)
                await self._client.get_state(event.room_id)
        elif event.type == EventType.ROOM_ENCRYPTED:
            if event.sender == self._client.mxid:
                return
            await self._crypto.wait_for_session(event.room_id, event.content.session_id, timeout=20)
            decrypted = await self._crypto.decrypt_megolm_event(event)
            await self._messages.put({"room_id": event.room_id, "body": decrypted.content.body})
        elif event.type == EventType.TYPING:
            await self._typing.put({"room_id": event.room_id, "users": list(event.content.user_ids)})

    async def wait_message(self, room_id: str, body: str) -> None:
        await self._messages.wait(lambda seen: seen == {"room_id": room_id, "body": body}, repr(body))

    async def wait_typing(self, room_id: str, user_id: str) -> None:
        await self._typing.wait(lambda seen: seen["room_id"] == room_id and user_id in seen["users"], "typing")

    async def send(self, room_id: str, body: str) -> str:
        content = TextMessageEventContent(msgtype=MessageType.TEXT, body=body)
        return str(await self._client.send_message(room_id, content))

    async def ghost_says(self, room_id: str, localpart: str, body: str, sent_ms: int) -> str:
        """A user of the other network comes in and says what he said there, and when."""
        intent = self._appservice.intent.user(f"@{localpart}:{self._appservice.domain}")
        await intent.ensure_joined(room_id, bot=self._appservice.intent)
        content = TextMessageEventContent(msgtype=MessageType.TEXT, body=body)
        return str(await intent.send_message_event(room_id, EventType.ROOM_MESSAGE, content, timestamp=sent_ms))

    async def close(self) -> None:
        await self._client.api.session.close()
        await self._appservice.stop()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    lines.run(Bridge)
