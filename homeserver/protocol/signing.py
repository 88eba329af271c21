"""Ed25519 signatures over canonical JSON, of plain objects and of events, and the text form of signing keys.

Source: appendices, "Signing JSON" and "Checking for a Signature"; server-server API, "Signing Events".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nacl import bindings
from nacl.exceptions import BadSignatureError

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.errors import InvalidSignature
from homeserver.protocol.hashing import decode_base64, encode_base64, referenced_bytes
from homeserver.protocol.identifiers import is_user_id
from homeserver.protocol.room_versions import RoomVersion

ALGORITHM = "ed25519"
SEED_BYTES = 32
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the id it is published under, `ed25519:<version>`. Its secrets are not shown by repr."""

    key_id: str
    seed: bytes = field(repr=False)
    verify_key: bytes
    _secret: bytes = field(repr=False)

    @staticmethod
    def from_seed(version: str, seed: bytes) -> SigningKey:
        """The key of a 32 byte seed; `version` is the part of the key id after the algorithm. Raises ValueError."""
        if not version or not all(
            character.isascii() and (character.isalnum() or character == "_") for character in version
        ):
            raise ValueError("A key version consists of a-z, A-Z, 0-9 and '_'.")
        if len(seed) != SEED_BYTES:
            raise ValueError(f"The seed of an ed25519 key has {SEED_BYTES} bytes.")
        verify_key, secret = bindings.crypto_sign_seed_keypair(seed)
        return SigningKey(f"{ALGORITHM}:{version}", seed, verify_key, secret)

    @property
    def version(self) -> str:
        """The part of the key id after the algorithm."""
        return self.key_id.partition(":")[2]

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of signature over the message."""
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


# --- Key files ----------------------------------------------------------------------------------------------------


def parse_signing_keys(text: str) -> list[SigningKey]:
    """Read the lines `ed25519 <version> <seed in base64>` of a key file; raises ValueError naming the line."""
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            algorithm, version, seed = line.split()
            if algorithm != ALGORITHM:
                raise ValueError(f"the algorithm must be {ALGORITHM}")
            keys.append(SigningKey.from_seed(version, decode_base64(seed)))
        except ValueError as error:
            raise ValueError(
                f"Line {number} of the signing key file is not 'ed25519 <version> <seed>': {error}"
            ) from None
    return keys


def format_signing_keys(keys: Iterable[SigningKey]) -> str:
    """The text of a key file: what `parse_signing_keys` reads."""
    return "".join(f"{ALGORITHM} {key.version} {encode_base64(key.seed)}\n" for key in keys)


# --- JSON objects -------------------------------------------------------------------------------------------------


def sign_json(value: dict[str, Any], server_name: str, key: SigningKey) -> dict[str, Any]:
    """A copy of the object with our signature added to those it has."""
    signature = key.sign(encode_canonical(_without_signatures(value)))
    return _with_signature(value, server_name, key.key_id, signature)


def verify_json(value: dict[str, Any], server_name: str, key_id: str, verify_key: bytes) -> None:
    """Raise InvalidSignature unless the object carries a valid signature of that entity with that key."""
    verify_bytes(encode_canonical(_without_signatures(value)), signature_of(value, server_name, key_id), verify_key)


def verify_bytes(message: bytes, signature: bytes, verify_key: bytes) -> None:
    """Raise InvalidSignature unless the signature over exactly these bytes is valid."""
    try:
        bindings.crypto_sign_open(signature + message, verify_key)
    except (BadSignatureError, ValueError, TypeError) as error:
        raise InvalidSignature("The signature does not fit the content.") from error


def signature_key_ids(value: dict[str, Any], server_name: str) -> list[str]:
    """The ids of the ed25519 keys that server signed the object with (steps 1 and 2 of checking)."""
    signatures = value.get("signatures")
    of_server = signatures.get(server_name) if isinstance(signatures, dict) else None
    if not isinstance(of_server, dict):
        return []
    return [key_id for key_id in of_server if key_id.startswith(ALGORITHM + ":")]


# --- Events -------------------------------------------------------------------------------------------------------


def sign_event(pdu: dict[str, Any], version: RoomVersion, server_name: str, key: SigningKey) -> dict[str, Any]:
    """A copy of a PDU (which has its content hash) with our signature over its redacted form added."""
    return _with_signature(pdu, server_name, key.key_id, key.sign(referenced_bytes(pdu, version)))


def verify_event(pdu: dict[str, Any], version: RoomVersion, server_name: str, key_id: str, verify_key: bytes) -> None:
    """Raise InvalidSignature unless the event carries a valid signature of that server made with that key."""
    verify_bytes(referenced_bytes(pdu, version), signature_of(pdu, server_name, key_id), verify_key)


def servers_that_must_sign(pdu: dict[str, Any], version: RoomVersion) -> set[str]:
    """The servers without whose signatures an event is dropped ("Validating hashes and signatures")."""
    servers = set()
    content = pdu.get("content")
    member_content = content if pdu.get("type") == "m.room.member" and isinstance(content, dict) else {}
    third_party_invite = member_content.get("membership") == "invite" and "third_party_invite" in member_content
    if not third_party_invite:
        servers.add(_server_of(pdu.get("sender")))
    if version.event_id_server_signs:
        servers.add(_server_of(pdu.get("event_id")))
    authorising_user = member_content.get("join_authorised_via_users_server")
    # Auth rule "If content has a join_authorised_via_users_server key", since v8.
    if version.restricted_joins and is_user_id(authorising_user):
        servers.add(_server_of(authorising_user))
    return servers


def _server_of(identifier: object) -> str:
    return identifier.partition(":")[2] if isinstance(identifier, str) else ""


def _without_signatures(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in ("signatures", "unsigned")}


def signature_of(value: dict[str, Any], server_name: str, key_id: str) -> bytes:
    """The bytes of a signature that an object carries; raises InvalidSignature where there is none."""
    if key_id not in signature_key_ids(value, server_name):
        raise InvalidSignature(f"There is no signature of {server_name} with the key {key_id}.")
    signature = value["signatures"][server_name][key_id]
    try:
        decoded = decode_base64(signature)
    except (ValueError, AttributeError):
        raise InvalidSignature(f"The signature of {server_name} is not base64.") from None
    if len(decoded) != SIGNATURE_BYTES:
        raise InvalidSignature(f"The signature of {server_name} has {len(decoded)} instead of {SIGNATURE_BYTES} bytes.")
    return decoded


def _with_signature(value: dict[str, Any], server_name: str, key_id: str, signature: bytes) -> dict[str, Any]:
    signatures = value.get("signatures", {})
    of_server = {**signatures.get(server_name, {}), key_id: encode_base64(signature)}
    return {**value, "signatures": {**signatures, server_name: of_server}}
