"""`PUT /invite`: the server of somebody who is invited signs the invitation, before the room hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.federation.client import Call, request_uri
from homeserver.federation.errors import BadAnswer, RemoteRefused
from homeserver.federation.keyring import WantedKey
from homeserver.federation.pdu_checks import MAX_KEYS_OF_A_SERVER, Keys
from homeserver.federation.travel.paths import SIGNED_LIMITS, V1, V2
from homeserver.federation.travel.refusals import Passed, is_unknown_endpoint
from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import BadJson, InvalidSignature
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import V1 as FIRST
from homeserver.protocol.room_versions import V2 as SECOND
from homeserver.protocol.signing import signature_key_ids, verify_event

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient


@dataclass(frozen=True, slots=True)
class Inviting:
    """One verb."""

    client: FederationClient
    keys: Keys

    async def __call__(self, server_name: str, invite: Event, shown: Sequence[Any]) -> Event:
        """The invitation with the signature of `server_name` added, and nothing else changed. `shown`: PDUs of the room.

        Raises BadAnswer, and as `FederationClient.call`.
        """
        answer = await self._send(server_name, invite, shown)
        pdu = answer.get("event")
        if not isinstance(pdu, dict):
            raise BadAnswer("The other server did not give the invitation back")
        _check_is_json(pdu)
        signatures = await self._added_signatures(server_name, invite, pdu)
        both = {**invite.pdu, "signatures": {**invite.pdu["signatures"], server_name: signatures}}
        return Event.from_pdu(both, invite.room_version, invite.event_id)

    async def _send(self, server_name: str, invite: Event, shown: Sequence[Any]) -> dict[str, Any]:
        version = invite.room_version
        content = {"event": invite.pdu, "invite_room_state": list(shown), "room_version": version.version}
        try:
            return await self.client.put(server_name, _uri(V2, invite), content, limits=SIGNED_LIMITS)
        except RemoteRefused as error:
            # "Servers which receive a v1 invite request must assume that the room version is either "1" or "2"".
            if version not in (FIRST, SECOND) or not is_unknown_endpoint(error):
                raise
        first = {**invite.pdu, "unsigned": {"invite_room_state": list(shown)}}
        call = Call("PUT", _uri(V1, invite), first, paired=True, limits=SIGNED_LIMITS)
        return await self.client.call(server_name, call)

    async def _added_signatures(self, server_name: str, invite: Event, pdu: dict[str, Any]) -> dict[str, str]:
        """Those of the invited server that fit our event. Raises BadAnswer where there is none."""
        signatures = pdu.get("signatures")
        signed = {**invite.pdu, "signatures": signatures if isinstance(signatures, dict) else {}}
        version = invite.room_version
        at_ms = invite.origin_server_ts if version.enforce_key_validity else 0
        key_ids = signature_key_ids(signed, server_name)[:MAX_KEYS_OF_A_SERVER]
        keys = await self.keys.find([WantedKey(server_name, each, at_ms) for each in key_ids if "\0" not in each])
        fitting = {
            wanted.key_id: signed["signatures"][server_name][wanted.key_id]
            for wanted, key in keys.items()
            if _fits(signed, invite, wanted, key)
        }
        if not fitting:
            raise BadAnswer("The other server did not sign the invitation")
        return fitting


def _check_is_json(pdu: dict[str, Any]) -> None:
    """Raises Passed, which the inviting client hears: the other server means another event, and asking again is no use."""
    try:
        encode_canonical(pdu)
    except BadJson as error:
        raise Passed(
            "M_BAD_JSON", 400, f"The other server gave back an event that cannot be: {error.message}"
        ) from error


def _fits(signed: dict[str, Any], invite: Event, wanted: WantedKey, key: bytes) -> bool:
    try:
        verify_event(signed, invite.room_version, wanted.server_name, wanted.key_id, key)
    except InvalidSignature:
        return False
    return True


def _uri(version: str, invite: Event) -> str:
    return request_uri(f"{version}/invite", invite.room_id, invite.event_id)
