"""A matrix-nio client with end-to-end encryption, driven by JSON lines."""

from __future__ import annotations

import base64
import logging
import sys
import tempfile
from asyncio import Task, create_task
from typing import Any

import lines
import nio
from nio import crypto
from nio_sas import NioVerification

SYNC_TIMEOUT_MS = 10_000


class NioDriver:
    def __init__(self) -> None:
        self._messages = lines.Inbox()
        self._files = lines.Inbox()
        self._typing = lines.Inbox()
        self._receipts = lines.Inbox()
        self._client: nio.AsyncClient
        self._verification: NioVerification
        self._syncing: Task[None] | None = None

    # -- the account ------------------------------------------------------------------------------------------------

    async def register(self, homeserver: str, username: str, password: str) -> dict[str, str]:
        self._make_client(homeserver, username)
        return await self._begin(await self._client.register(username, password, device_name="nio"))

    async def login(self, homeserver: str, username: str, password: str) -> dict[str, str]:
        self._make_client(homeserver, username)
        return await self._begin(await self._client.login(password, device_name="nio"))

    async def logout(self) -> None:
        await self._end_sync()
        checked(await self._client.logout())

    async def close(self) -> None:
        await self._end_sync()
        await self._client.close()

    def _make_client(self, homeserver: str, username: str) -> None:
        config = nio.AsyncClientConfig(encryption_enabled=True)
        self._client = nio.AsyncClient(homeserver, username, store_path=tempfile.mkdtemp(), config=config)
        self._client.add_event_callback(self._on_message, nio.RoomMessageText)
        self._client.add_event_callback(self._on_file, nio.RoomEncryptedFile)
        self._client.add_ephemeral_callback(self._on_typing, nio.TypingNoticeEvent)
        self._client.add_ephemeral_callback(self._on_receipt, nio.ReceiptEvent)
        self._verification = NioVerification(self._client)

    async def _begin(self, response: Any) -> dict[str, str]:
        checked(response)
        checked(await self._client.keys_upload())
        self._syncing = create_task(self._client.sync_forever(SYNC_TIMEOUT_MS, full_state=True))
        return {"user_id": self._client.user_id, "device_id": self._client.device_id}

    async def _end_sync(self) -> None:
        if self._syncing is not None:
            self._syncing.cancel()
            self._syncing = None

    # -- rooms and messages -----------------------------------------------------------------------------------------

    async def create_room(self, name: str, invite: list[str]) -> str:
        encryption = nio.EnableEncryptionBuilder().as_dict()
        response = checked(await self._client.room_create(name=name, invite=invite, initial_state=[encryption]))
        return str(response.room_id)

    async def join(self, room_id: str) -> None:
        checked(await self._client.join(room_id))

    async def wait_member(self, room_id: str, user_id: str) -> None:
        """Until this client's own view of the room is encrypted and has the user as a joined member."""

        def is_there() -> bool:
            room = self._client.rooms.get(room_id)
            return room is not None and room.encrypted and user_id in room.users and user_id not in room.invited_users

        await lines.until(is_there, f"{user_id} in {room_id}")

    async def send(self, room_id: str, body: str) -> str:
        return await self._send(room_id, {"msgtype": "m.text", "body": body})

    async def wait_message(self, room_id: str, body: str) -> dict[str, Any]:
        return await self._messages.wait(lambda seen: seen["room_id"] == room_id and seen["body"] == body, repr(body))

    async def send_file(self, room_id: str, name: str, data: str) -> str:
        ciphertext, keys = crypto.attachments.encrypt_attachment(base64.b64decode(data))
        uploaded, _ = await self._client.upload(lambda *_: ciphertext, filename=name, filesize=len(ciphertext))
        file = {**keys, "url": checked(uploaded).content_uri}
        return await self._send(room_id, {"msgtype": "m.file", "body": name, "file": file})

    async def wait_file(self, room_id: str, name: str) -> str:
        """The decrypted content in base64."""
        seen = await self._files.wait(lambda seen: seen["room_id"] == room_id and seen["name"] == name, name)
        downloaded = checked(await self._client.download(seen["url"]))
        plaintext = crypto.attachments.decrypt_attachment(downloaded.body, seen["key"], seen["hash"], seen["iv"])
        return base64.b64encode(plaintext).decode()

    async def discard_room_key(self, room_id: str) -> None:
        """The next message in the room begins a new room key, which every device there must be given."""
        self._client.invalidate_outbound_session(room_id)

    async def _send(self, room_id: str, content: dict[str, Any]) -> str:
        sent = await self._client.room_send(room_id, "m.room.message", content, ignore_unverified_devices=True)
        return str(checked(sent).event_id)

    async def _on_message(self, room: nio.MatrixRoom, event: nio.RoomMessageText) -> None:
        await self._messages.put(
            {
                "room_id": room.room_id,
                "event_id": event.event_id,
                "sender": event.sender,
                "body": event.body,
                "encrypted": event.decrypted,
            }
        )

    async def _on_file(self, room: nio.MatrixRoom, event: nio.RoomEncryptedFile) -> None:
        await self._files.put(
            {
                "room_id": room.room_id,
                "name": event.body,
                "url": event.url,
                "key": event.key["k"],
                "hash": event.hashes["sha256"],
                "iv": event.iv,
            }
        )

    # -- typing and receipts ----------------------------------------------------------------------------------------

    async def typing(self, room_id: str, is_typing: bool) -> None:
        checked(await self._client.room_typing(room_id, is_typing, timeout=20_000))

    async def wait_typing(self, room_id: str, user_id: str) -> None:
        await self._typing.wait(lambda seen: seen["room_id"] == room_id and user_id in seen["users"], "typing")

    async def receipt(self, room_id: str, event_id: str) -> None:
        checked(await self._client.update_receipt_marker(room_id, event_id))

    async def wait_receipt(self, room_id: str, event_id: str, user_id: str) -> None:
        wanted = {"room_id": room_id, "event_id": event_id, "user_id": user_id}
        await self._receipts.wait(lambda seen: seen == wanted, f"receipt {wanted}")

    async def _on_typing(self, room: nio.MatrixRoom, event: nio.TypingNoticeEvent) -> None:
        await self._typing.put({"room_id": room.room_id, "users": event.users})

    async def _on_receipt(self, room: nio.MatrixRoom, event: nio.ReceiptEvent) -> None:
        for receipt in event.receipts:
            await self._receipts.put(
                {"room_id": room.room_id, "event_id": receipt.event_id, "user_id": receipt.user_id}
            )

    # -- verification -----------------------------------------------------------------------------------------------

    async def start_sas(self, user_id: str, device_id: str, foreign: bool = False) -> None:
        await self._verification.start(user_id, device_id, foreign=foreign)

    async def accept_sas(self, user_id: str, foreign: bool = False) -> None:
        await self._verification.accept(user_id, foreign=foreign)

    async def sas_code(self, user_id: str) -> list[int]:
        return await self._verification.code(user_id)

    async def confirm_sas(self, user_id: str) -> None:
        await self._verification.confirm(user_id)

    async def knows_device(self, user_id: str, device_id: str) -> bool:
        """Whether this client has heard of a device of somebody it shares an encrypted room with."""
        return any(device.id == device_id for device in self._client.device_store.active_user_devices(user_id))

    async def is_verified(self, user_id: str, device_id: str) -> bool:
        return bool(self._client.device_store[user_id][device_id].verified)


def checked(response: Any) -> Any:
    """nio returns errors as values; here they end the command."""
    if isinstance(response, nio.ErrorResponse):
        raise RuntimeError(f"{type(response).__name__}: {response.status_code} {response.message}")
    return response


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    lines.run(NioDriver)
