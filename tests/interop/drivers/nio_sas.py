"""Short-authentication-string verification with matrix-nio.

nio 0.26 speaks SAS only with itself: its commitment is hexadecimal where the spec wants unpadded base64, it names the MAC
method of libolm's faulty encoding (`hkdf-hmac-sha256`) while computing the sound one, and it knows neither
`m.key.verification.request` nor `done`. Between two nio clients nothing is changed here. Towards others, `repair` puts
exactly these things right, so that the server's part, carrying the messages between two different implementations, can
be watched to the end.
"""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

import lines
import nio
from nio.api import Api
from nio.crypto import sas as sas_module

SAS_METHOD = "m.sas.v1"


class NioVerification:
    def __init__(self, client: nio.AsyncClient) -> None:
        self._client = client
        self._requests = lines.Inbox()
        self._readies = lines.Inbox()
        self._foreign = False
        client.add_to_device_callback(self._on_unknown, nio.UnknownToDeviceEvent)

    async def start(self, user_id: str, device_id: str, *, foreign: bool) -> None:
        """`foreign`: see `accept`; here the request is ours to make, and its answer to be waited for."""
        device = await lines.until(lambda: self._device(user_id, device_id), f"device {device_id} of {user_id}")
        if not foreign:
            await self._client.start_key_verification(device)
            return
        self._foreign = True
        repair()
        start = self._client.create_key_verification(device)
        own = {"from_device": self._client.device_id, "methods": [SAS_METHOD], "timestamp": int(time.time() * 1000)}
        transaction_id = start.content["transaction_id"]
        await self._say("m.key.verification.request", user_id, device_id, {"transaction_id": transaction_id, **own})
        await self._readies.wait(lambda seen: seen["content"]["transaction_id"] == transaction_id, f"{user_id} ready")
        await self._client.to_device(start)

    async def accept(self, user_id: str, *, foreign: bool) -> None:
        """`foreign`: the other side is no nio, so it begins with a request and wants the spec's own encoding."""
        self._foreign = foreign
        if foreign:
            repair()
            await self._answer_request(user_id)
        sas = await lines.until(lambda: self._sas(user_id), f"a verification started by {user_id}")
        await self._client.accept_key_verification(sas.transaction_id)

    async def code(self, user_id: str) -> list[int]:
        sas = await lines.until(
            lambda: (sas := self._sas(user_id)) and sas.established_sas and sas.chosen_key_agreement and sas,
            f"the keys of the verification with {user_id}",
        )
        return list(sas.get_decimals())

    async def confirm(self, user_id: str) -> None:
        """Confirms and waits until the other side has done so too."""
        sas = self._sas(user_id)
        await self._client.confirm_short_auth_string(sas.transaction_id)
        await lines.until(lambda: sas.verified or sas.canceled, f"the confirmation of {user_id}")
        if sas.canceled:
            raise RuntimeError(f"cancelled: {sas.cancel_code} {sas.cancel_reason}")
        if self._foreign:
            done = {"transaction_id": sas.transaction_id}
            await self._say("m.key.verification.done", user_id, sas.other_olm_device.id, done)

    async def _answer_request(self, user_id: str) -> None:
        """Says `ready` to a verification request, which nio itself passes over."""
        request = await self._requests.wait(lambda seen: seen["sender"] == user_id, f"a request of {user_id}")
        asked = request["content"]
        device_id = asked["from_device"]
        await lines.until(lambda: self._device(user_id, device_id), f"device {device_id} of {user_id}")
        own = {"from_device": self._client.device_id, "methods": [SAS_METHOD]}
        await self._say(
            "m.key.verification.ready", user_id, device_id, {"transaction_id": asked["transaction_id"], **own}
        )

    async def _say(self, event_type: str, user_id: str, device_id: str, content: dict[str, Any]) -> None:
        message = nio.event_builders.ToDeviceMessage(event_type, user_id, device_id, content)
        await self._client.to_device(message)

    async def _on_unknown(self, event: nio.UnknownToDeviceEvent) -> None:
        inbox = {"m.key.verification.request": self._requests, "m.key.verification.ready": self._readies}.get(
            event.type
        )
        if inbox is not None:
            await inbox.put({"sender": event.sender, "content": event.source["content"]})

    def _device(self, user_id: str, device_id: str) -> Any:
        try:
            return self._client.device_store[user_id][device_id]
        except KeyError:
            self._client.olm.users_for_key_query.add(user_id)
            return None

    def _sas(self, user_id: str) -> Any:
        verifications = self._client.key_verifications.values()
        return next((sas for sas in verifications if sas.other_olm_device.user_id == user_id), None)


def repair() -> None:
    """Makes nio's SAS the spec's (client-server API, "Key verification framework"), for talks with other clients."""

    def commitment(public_key: str, start_content: dict[str, Any]) -> str:
        digest = hashlib.sha256((public_key + Api.to_canonical_json(start_content)).encode()).digest()
        return base64.b64encode(digest).rstrip(b"=").decode()

    def check_commitment(self: sas_module.Sas, key: str) -> bool:
        return self.commitment == commitment(key, self.start_verification().content)

    def from_start(cls: type[sas_module.Sas], *arguments: Any) -> sas_module.Sas:
        sas = original_from_start(cls, *arguments)
        sas.commitment = commitment(sas.pubkey, arguments[-1].source["content"])
        return sas

    if sas_module.Sas._mac_normal == "hkdf-hmac-sha256.v2":
        return
    original_from_start = sas_module.Sas.from_key_verification_start.__func__
    sas_module.Sas.from_key_verification_start = classmethod(from_start)
    sas_module.Sas._check_commitment = check_commitment
    sas_module.Sas._mac_normal = "hkdf-hmac-sha256.v2"
    sas_module.Sas._mac_v1 = ["hkdf-hmac-sha256.v2"]
