"""One device's end of Olm: what is sent to another device only that device reads. Client-server API, "End-to-End Encryption"."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import vodozemac

from homeserver.protocol.canonical_json import encode_canonical
from voice.bot.matrix import MatrixClient

ALGORITHM = "m.olm.v1.curve25519-aes-sha2"
ONE_TIME_KEYS = 20
MAX_SESSIONS = 2_000


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """Of somebody else's device, its signature verified."""

    user_id: str
    device_id: str
    curve25519: str
    ed25519: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What another device sent us, decrypted."""

    sender: str
    event_type: str
    content: dict[str, Any]
    sender_key: str


@dataclass(slots=True)
class OlmDevice:
    """Keys live as long as this object: a bot makes a new device each time."""

    client: MatrixClient
    account: vodozemac.Account = field(default_factory=vodozemac.Account)
    _sessions: dict[str, list[vodozemac.Session]] = field(default_factory=dict)
    """By the other device's curve25519 key, newest first."""

    async def publish(self) -> None:
        """Device keys and some one-time keys, signed."""
        me = self.client
        keys = {
            f"curve25519:{me.device_id}": self.account.curve25519_key.to_base64(),
            f"ed25519:{me.device_id}": self.account.ed25519_key.to_base64(),
        }
        algorithms = [ALGORITHM, "m.megolm.v1.aes-sha2"]
        device = {"user_id": me.user_id, "device_id": me.device_id, "algorithms": algorithms, "keys": keys}
        self.account.generate_one_time_keys(ONE_TIME_KEYS)
        one_time = {
            f"signed_curve25519:{key_id}": self._signed({"key": key.to_base64()})
            for key_id, key in self.account.one_time_keys.items()
        }
        body = {"device_keys": self._signed(device), "one_time_keys": one_time}
        await me.ask("POST", "/_matrix/client/v3/keys/upload", body)
        self.account.mark_keys_as_published()

    async def devices_of(self, user_ids: Sequence[str]) -> list[DeviceKeys]:
        """All devices of these users whose keys are signed by themselves, without our own."""
        body: dict[str, Any] = {"device_keys": {user_id: [] for user_id in user_ids}}
        answer = await self.client.ask("POST", "/_matrix/client/v3/keys/query", body)
        found = [
            _verified(user_id, device_id, device)
            for user_id, devices in answer.get("device_keys", {}).items()
            for device_id, device in devices.items()
        ]
        mine = self.account.curve25519_key.to_base64()
        return [each for each in found if each is not None and each.curve25519 != mine]

    async def send(self, event_type: str, content: dict[str, Any], devices: Sequence[DeviceKeys]) -> None:
        """Encrypt for each of them; who has no one-time key left is passed over."""
        await self._open_sessions([each for each in devices if each.curve25519 not in self._sessions])
        messages: dict[str, dict[str, Any]] = {}
        for device in devices:
            if device.curve25519 in self._sessions:
                sealed = self._seal(event_type, content, device)
                messages.setdefault(device.user_id, {})[device.device_id] = sealed
        if messages:
            await self.client.send_to_device("m.room.encrypted", messages)

    def open(self, event: dict[str, Any]) -> Opened | None:
        """None for what is not for us, or cannot be decrypted."""
        content = event.get("content", {})
        mine = self.account.curve25519_key.to_base64()
        try:
            body = content["ciphertext"][mine]
            plain = json.loads(self._decrypt(str(content["sender_key"]), int(body["type"]), _decode(str(body["body"]))))
            if plain["sender"] != event["sender"] or plain["recipient"] != self.client.user_id:
                return None
            if plain["recipient_keys"]["ed25519"] != self.account.ed25519_key.to_base64():
                return None
            return Opened(plain["sender"], plain["type"], dict(plain["content"]), content["sender_key"])
        except (KeyError, TypeError, ValueError):
            return None

    async def _open_sessions(self, devices: Sequence[DeviceKeys]) -> None:
        if not devices:
            return
        wanted: dict[str, dict[str, str]] = {}
        for device in devices:
            wanted.setdefault(device.user_id, {})[device.device_id] = "signed_curve25519"
        answer = await self.client.ask("POST", "/_matrix/client/v3/keys/claim", {"one_time_keys": wanted})
        for device in devices:
            claimed = answer.get("one_time_keys", {}).get(device.user_id, {}).get(device.device_id, {})
            for key in claimed.values():
                if _is_signed_by(key, device.user_id, device.device_id, device.ed25519):
                    session = self.account.create_outbound_session(
                        vodozemac.Curve25519PublicKey.from_base64(device.curve25519),
                        vodozemac.Curve25519PublicKey.from_base64(key["key"]),
                    )
                    self._remember(device.curve25519, session)

    def _seal(self, event_type: str, content: dict[str, Any], device: DeviceKeys) -> dict[str, Any]:
        plain = {
            "type": event_type,
            "content": content,
            "sender": self.client.user_id,
            "sender_device": self.client.device_id,
            "keys": {"ed25519": self.account.ed25519_key.to_base64()},
            "recipient": device.user_id,
            "recipient_keys": {"ed25519": device.ed25519},
        }
        kind, ciphertext = self._sessions[device.curve25519][0].encrypt(json.dumps(plain).encode()).to_parts()
        return {
            "algorithm": ALGORITHM,
            "sender_key": self.account.curve25519_key.to_base64(),
            "ciphertext": {device.curve25519: {"type": kind, "body": _encode(ciphertext)}},
        }

    def _decrypt(self, sender_key: str, kind: int, ciphertext: bytes) -> bytes:
        message = vodozemac.AnyOlmMessage.from_parts(kind, ciphertext)
        for session in self._sessions.get(sender_key, []):
            try:
                return bytes(session.decrypt(message))
            except vodozemac.OlmDecryptionException:
                continue
        first = message.to_pre_key()
        if first is None:
            raise ValueError("no session for this message")
        key = vodozemac.Curve25519PublicKey.from_base64(sender_key)
        session, plaintext = self.account.create_inbound_session(key, first)
        self._remember(sender_key, session)
        return bytes(plaintext)

    def _remember(self, sender_key: str, session: vodozemac.Session) -> None:
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions.setdefault(sender_key, []).insert(0, session)
        del self._sessions[sender_key][5:]

    def _signed(self, value: dict[str, Any]) -> dict[str, Any]:
        signature = self.account.sign(encode_canonical(value)).to_base64()
        return {**value, "signatures": {self.client.user_id: {f"ed25519:{self.client.device_id}": signature}}}


def _verified(user_id: str, device_id: str, device: dict[str, Any]) -> DeviceKeys | None:
    keys = device.get("keys", {})
    ed25519, curve25519 = keys.get(f"ed25519:{device_id}"), keys.get(f"curve25519:{device_id}")
    if not isinstance(ed25519, str) or not isinstance(curve25519, str):
        return None
    if device.get("user_id") != user_id or device.get("device_id") != device_id:
        return None
    if not _is_signed_by(device, user_id, device_id, ed25519):
        return None
    return DeviceKeys(user_id, device_id, curve25519, ed25519)


def _is_signed_by(value: dict[str, Any], user_id: str, device_id: str, ed25519: str) -> bool:
    unsigned = {name: each for name, each in value.items() if name not in ("signatures", "unsigned")}
    try:
        signature = value["signatures"][user_id][f"ed25519:{device_id}"]
        key = vodozemac.Ed25519PublicKey.from_base64(ed25519)
        key.verify_signature(encode_canonical(unsigned), vodozemac.Ed25519Signature.from_base64(signature))
    except (KeyError, TypeError, ValueError):
        return False
    return True


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64") from error
