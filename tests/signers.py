"""Keys as clients make them, with real ed25519 signatures; nothing here uses the server's own code."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nacl.signing import SigningKey as NaclKey

from tests.cast import Client

ALGORITHMS = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]


def unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def canonical(value: Mapping[str, Any]) -> bytes:
    signed = {name: item for name, item in value.items() if name not in ("signatures", "unsigned")}
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(slots=True)
class Signer:
    """A private key and whose it is. `name`: a device id; without one, the key is called like itself."""

    user_id: str
    name: str = ""
    key: NaclKey = field(default_factory=NaclKey.generate)

    @property
    def public(self) -> str:
        return unpadded(self.key.verify_key.encode())

    @property
    def key_id(self) -> str:
        return f"ed25519:{self.name or self.public}"

    def signature(self, value: Mapping[str, Any]) -> str:
        return unpadded(self.key.sign(canonical(value)).signature)

    def sign(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """A copy with this signature added."""
        signatures = value.get("signatures", {})
        of_user = {**signatures.get(self.user_id, {}), self.key_id: self.signature(value)}
        return {**value, "signatures": {**signatures, self.user_id: of_user}}


@dataclass(slots=True)
class DeviceSigner(Signer):
    """The identity of one device."""

    def device_keys(self, **changes: Any) -> dict[str, Any]:
        keys = {
            "user_id": self.user_id,
            "device_id": self.name,
            "algorithms": ALGORITHMS,
            "keys": {self.key_id: self.public, f"curve25519:{self.name}": unpadded(bytes(range(32)))},
            **changes,
        }
        return self.sign(keys)

    def one_time_key(self, number: int, *, fallback: bool = False) -> dict[str, Any]:
        key: dict[str, Any] = {"key": unpadded(number.to_bytes(32, "big"))}
        if fallback:
            key["fallback"] = True
        return self.sign(key)

    def one_time_keys(self, count: int, start: int = 0) -> dict[str, Any]:
        return {
            f"signed_curve25519:AAA{number:04}": self.one_time_key(number) for number in range(start, start + count)
        }


def device_of(client: Client) -> DeviceSigner:
    """A new identity for a client's device."""
    return DeviceSigner(client.user_id, client.device_id)


async def publish(client: Client, *, one_time_keys: int = 0) -> DeviceSigner:
    """Upload device keys (and one-time keys) for a client, as it does after login."""
    device = device_of(client)
    body: dict[str, Any] = {"device_keys": device.device_keys()}
    if one_time_keys:
        body["one_time_keys"] = device.one_time_keys(one_time_keys)
    await client.post("keys/upload", body)
    return device


@dataclass(slots=True)
class CrossSigner:
    """A user's three cross-signing keys."""

    user_id: str
    master: Signer = field(init=False)
    self_signing: Signer = field(init=False)
    user_signing: Signer = field(init=False)

    def __post_init__(self) -> None:
        self.master, self.self_signing, self.user_signing = (Signer(self.user_id) for _ in range(3))

    def key(self, usage: str) -> dict[str, Any]:
        """The public half of one key, signed by the master key unless it is that."""
        signer: Signer = getattr(self, usage)
        value = {"user_id": self.user_id, "usage": [usage], "keys": {signer.key_id: signer.public}}
        return value if usage == "master" else self.master.sign(value)

    def keys(self) -> dict[str, Any]:
        """The body of POST /keys/device_signing/upload."""
        return {f"{usage}_key": self.key(usage) for usage in ("master", "self_signing", "user_signing")}


async def bootstrap(client: Client) -> CrossSigner:
    """Upload a client's first cross-signing keys."""
    keys = CrossSigner(client.user_id)
    await client.post("keys/device_signing/upload", keys.keys())
    return keys


def password_auth(client: Client) -> dict[str, Any]:
    """The `auth` object that proves a client's password."""
    identifier = {"type": "m.id.user", "user": client.user_id}
    return {"type": "m.login.password", "identifier": identifier, "password": client.password}
