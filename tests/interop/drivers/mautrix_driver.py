"""A mautrix client, with end-to-end encryption where python-olm is there, driven by JSON lines."""

from __future__ import annotations

import base64
import logging
import sys
from typing import Any

import lines
from mautrix.api import HTTPAPI, Method, Path
from mautrix.client import Client, MemoryStateStore
from mautrix.types import (
    EncryptedFile,
    EventType,
    Filter,
    MediaMessageEventContent,
    MessageEvent,
    MessageType,
    RoomID,
    TextMessageEventContent,
    TrustState,
    UserID,
)

try:
    from mautrix import crypto
    from mautrix.crypto import attachments
    from mautrix_crypto import Backup, CryptoStore, SharedRooms
except ImportError:  # no wheel of python-olm for this Python
    crypto = None  # type: ignore[assignment]


class MautrixDriver:
    def __init__(self) -> None:
        self._messages = lines.Inbox()
        self._files = lines.Inbox()
        self._typing = lines.Inbox()
        self._receipts = lines.Inbox()
        self._client: Client

    async def can_encrypt(self) -> bool:
        return crypto is not None

    # -- the account ------------------------------------------------------------------------------------------------

    async def register(self, homeserver: str, username: str, password: str) -> dict[str, str]:
        """mautrix has no verb for registration (bots log in), so the request is made with its HTTP layer."""
        api = HTTPAPI(homeserver)
        body = {"username": username, "password": password, "auth": {"type": "m.login.dummy"}, "inhibit_login": True}
        await api.request(Method.POST, Path.v3.register, body)
        await api.session.close()
        return await self.login(homeserver, username, password)

    async def login(self, homeserver: str, username: str, password: str) -> dict[str, str]:
        self._client = Client(base_url=homeserver, state_store=MemoryStateStore())
        login = await self._client.login(UserID(username), password=password, device_name="mautrix")
        if crypto is not None:
            await self._begin_crypto()
        self._client.add_event_handler(EventType.ROOM_MESSAGE, self._on_message)
        self._client.add_event_handler(EventType.TYPING, self._on_typing)
        self._client.add_event_handler(EventType.RECEIPT, self._on_receipt)
        self._client.start(Filter())
        return {"user_id": login.user_id, "device_id": login.device_id}

    async def _begin_crypto(self) -> None:
        self._store = CryptoStore(self._client.mxid, "pickle")
        rooms = SharedRooms(self._client.state_store)
        machine = crypto.OlmMachine(self._client, self._store, rooms)
        await machine.load()
        self._client.crypto = machine
        await machine.share_keys()

    async def logout(self) -> None:
        self._client.stop()
        await self._client.logout()

    async def close(self) -> None:
        self._client.stop()
        await self._client.api.session.close()

    # -- rooms and messages -----------------------------------------------------------------------------------------

    async def create_room(self, name: str, invite: list[str]) -> str:
        encryption: dict[str, Any] = {
            "type": "m.room.encryption",
            "state_key": "",
            "content": {"algorithm": "m.megolm.v1.aes-sha2"},
        }
        invitees = [UserID(user_id) for user_id in invite]
        return str(await self._client.create_room(name=name, invitees=invitees, initial_state=[encryption]))

    async def join(self, room_id: str) -> None:
        await self._client.join_room(room_id)

    async def wait_member(self, room_id: str, user_id: str) -> None:
        store = self._client.state_store

        async def is_there() -> bool:
            return bool(await store.is_encrypted(room_id)) and await store.is_joined(room_id, user_id)

        await lines.until(is_there, f"{user_id} in {room_id}")

    async def send(self, room_id: str, body: str) -> str:
        content = TextMessageEventContent(msgtype=MessageType.TEXT, body=body)
        return str(await self._client.send_message(room_id, content))

    async def wait_message(self, room_id: str, body: str) -> dict[str, Any]:
        return await self._messages.wait(lambda seen: seen["room_id"] == room_id and seen["body"] == body, repr(body))

    async def send_file(self, room_id: str, name: str, data: str) -> str:
        ciphertext, file = attachments.encrypt_attachment(base64.b64decode(data))
        file.url = await self._client.upload_media(ciphertext, mime_type="application/octet-stream")
        content = MediaMessageEventContent(msgtype=MessageType.FILE, body=name, file=file)
        return str(await self._client.send_message(room_id, content))

    async def wait_file(self, room_id: str, name: str) -> str:
        """The decrypted content in base64."""
        seen = await self._files.wait(lambda seen: seen["room_id"] == room_id and seen["name"] == name, name)
        file: EncryptedFile = seen["file"]
        ciphertext = await self._client.download_media(file.url)
        plaintext = attachments.decrypt_attachment(ciphertext, file.key.key, file.hashes["sha256"], file.iv)
        return base64.b64encode(plaintext).decode()

    async def discard_room_key(self, room_id: str) -> None:
        """The next message in the room begins a new room key, which every device there must be given."""
        await self._store.remove_outbound_group_session(RoomID(room_id))

    async def _on_message(self, event: MessageEvent) -> None:
        content = event.content
        if isinstance(content, MediaMessageEventContent):
            await self._files.put({"room_id": event.room_id, "name": content.body, "file": content.file})
        else:
            await self._messages.put(
                {
                    "room_id": event.room_id,
                    "event_id": event.event_id,
                    "sender": event.sender,
                    "body": content.body,
                    "encrypted": bool(event.get("mautrix", {}).get("was_encrypted")),
                }
            )

    # -- typing and receipts ----------------------------------------------------------------------------------------

    async def typing(self, room_id: str, is_typing: bool) -> None:
        await self._client.set_typing(room_id, timeout=20_000 if is_typing else 0)

    async def wait_typing(self, room_id: str, user_id: str) -> None:
        await self._typing.wait(lambda seen: seen["room_id"] == room_id and user_id in seen["users"], "typing")

    async def receipt(self, room_id: str, event_id: str) -> None:
        await self._client.send_receipt(room_id, event_id)

    async def wait_receipt(self, room_id: str, event_id: str, user_id: str) -> None:
        wanted = {"room_id": room_id, "event_id": event_id, "user_id": user_id}
        await self._receipts.wait(lambda seen: seen == wanted, f"receipt {wanted}")

    async def _on_typing(self, event: Any) -> None:
        await self._typing.put({"room_id": event.room_id, "users": event.content.user_ids})

    async def _on_receipt(self, event: Any) -> None:
        for event_id, kinds in event.content.items():
            for users in kinds.values():
                for user_id in users:
                    await self._receipts.put({"room_id": event.room_id, "event_id": event_id, "user_id": user_id})

    # -- cross-signing and key backup -------------------------------------------------------------------------------

    async def set_up_cross_signing(self, password: str) -> dict[str, str | None]:
        """New cross-signing keys, their private parts in secret storage; the recovery key opens it."""
        recovery_key = await self._client.crypto.generate_recovery_key()
        return {"recovery_key": recovery_key, "master_key": await self.master_key(self._client.mxid)}

    async def sign_in_with_recovery_key(self, recovery_key: str) -> None:
        """A new device takes the cross-signing keys out of secret storage and signs itself."""
        await self._client.crypto.verify_with_recovery_key(recovery_key)

    async def master_key(self, user_id: str) -> str | None:
        keys = await self._client.query_keys([UserID(user_id)])
        master = keys.master_keys.get(UserID(user_id))
        return str(master.first_ed25519_key) if master else None

    async def knows_device(self, user_id: str, device_id: str) -> bool:
        """Whether this client has heard of a device of somebody it shares an encrypted room with."""
        return device_id in (await self._store.get_devices(UserID(user_id)) or {})

    async def is_cross_signed(self, user_id: str, device_id: str) -> bool:
        """Whether the device bears a valid signature of its owner's self-signing key, as this client checks it."""
        machine = self._client.crypto
        device = await machine.get_or_fetch_device(user_id, device_id)
        return bool(device) and (await machine.resolve_trust(device)) >= TrustState.CROSS_SIGNED_UNTRUSTED

    async def restore_backup(self, recovery_key: str) -> dict[str, int]:
        return await Backup(self._client, self._store).restore(recovery_key)

    async def read_history(self, room_id: str, event_id: str) -> str:
        """The text of an old event, fetched from the server and decrypted with the keys at hand."""
        event = await self._client.get_event(room_id, event_id)
        decrypted = await self._client.crypto.decrypt_megolm_event(event)
        return str(decrypted.content.body)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    lines.run(MautrixDriver)
