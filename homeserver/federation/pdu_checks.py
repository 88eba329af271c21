"""Events as other servers send them: which are events at all, signed by whom they must be, and unchanged.

Source: server-server API, "Checks performed on receipt of a PDU", 1 to 3; "Validating hashes and signatures on received
events".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from homeserver.federation.keyring import WantedKey
from homeserver.protocol.errors import InvalidEvent, InvalidSignature, MatrixError
from homeserver.protocol.event_format import check_event_format
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import event_id_from_hash, has_valid_content_hash, referenced_bytes, sha256
from homeserver.protocol.redaction import redact
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.signing import servers_that_must_sign, signature_key_ids, signature_of, verify_bytes

MAX_KEYS_OF_A_SERVER: Final = 8
"""Signatures of one server that are looked at: "a server in the middle of changing its key signs with both"."""
INLINE: Final = 20
"""Events; so many take some 3 ms, and a thread would cost more than it saves."""
SLICE: Final = 64
"""Events that a thread checks before another list gets its turn."""
SLICES_AT_ONCE: Final = 2
"""Ed25519 runs without the interpreter's lock, all else with it: more threads would only wait for each other."""

In = TypeVar("In")
Out = TypeVar("Out")


class Keys(Protocol):
    """`Keyring`."""

    async def find(self, wanted: Collection[WantedKey]) -> Mapping[WantedKey, bytes]:
        """Those that can be had."""
        ...


@dataclass(frozen=True, slots=True)
class DroppedPdu:
    """What is neither stored nor passed on. `event_id` None: it is so far from an event that it has no id."""

    reason: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Signed:
    """An event with a valid format, and which keys it says it is signed with. `by`: one set for each server."""

    pdu: dict[str, Any]
    event_id: str
    message: bytes
    by: tuple[tuple[WantedKey, ...], ...]


@dataclass(frozen=True, slots=True)
class PduChecks:
    """Everything that comes from elsewhere goes through here: format, signatures, hash."""

    keys: Keys

    async def __call__(
        self, pdus: Sequence[Any], version: RoomVersion, *, room_id: str | None = None
    ) -> list[Event | DroppedPdu]:
        """One result for each, in the same order; an event whose hash does not fit comes redacted.

        With `room_id`, events of other rooms are dropped. Keys that are not known are asked for together.
        """
        opened = await _in_slices(lambda pdu: _open(pdu, version), pdus)
        keys = await self.keys.find(_wanted(opened))
        return await _in_slices(lambda each: _checked(each, keys, version, room_id), opened)


def kept(results: Iterable[Event | DroppedPdu]) -> list[Event]:
    """Those that passed."""
    return [each for each in results if isinstance(each, Event)]


# --- One event ---


def _open(pdu: object, version: RoomVersion) -> _Signed | DroppedPdu:
    try:
        checked = check_event_format(pdu, version)
        _check_storable(checked)
        message = referenced_bytes(checked, version)
    except MatrixError as error:
        return DroppedPdu(error.message)
    servers = sorted(servers_that_must_sign(checked, version))
    by = tuple(_keys_of(checked, server_name, version) for server_name in servers)
    return _Signed(checked, _event_id(checked, message, version), message, by)


def _check_storable(pdu: Mapping[str, Any]) -> None:
    """The database has no text with a NUL in it, and no client could make an event with one there."""
    for name in ("type", "state_key", "redacts"):
        if "\0" in str(pdu.get(name, "")):
            raise InvalidEvent(f"The event's {name} has a NUL character.")


def _event_id(pdu: Mapping[str, Any], message: bytes, version: RoomVersion) -> str:
    if version.event_id_in_pdu:
        event_id: str = pdu["event_id"]
        return event_id
    return event_id_from_hash(sha256(message), version)


def _keys_of(pdu: dict[str, Any], server_name: str, version: RoomVersion) -> tuple[WantedKey, ...]:
    """Room versions, "Signing key validity period": since v5 a key counts up to its time only."""
    at_ms = pdu["origin_server_ts"] if version.enforce_key_validity else 0
    key_ids = signature_key_ids(pdu, server_name)[:MAX_KEYS_OF_A_SERVER]
    return tuple(WantedKey(server_name, key_id, at_ms) for key_id in key_ids if "\0" not in key_id)


def _wanted(opened: Iterable[_Signed | DroppedPdu]) -> set[WantedKey]:
    return {key for each in opened if isinstance(each, _Signed) for of_server in each.by for key in of_server}


def _checked(
    each: _Signed | DroppedPdu, keys: Mapping[WantedKey, bytes], version: RoomVersion, room_id: str | None
) -> Event | DroppedPdu:
    if isinstance(each, DroppedPdu):
        return each
    if not all(_is_signed(each, of_server, keys) for of_server in each.by):
        return DroppedPdu("A signature is missing or does not fit, or its key is not known", each.event_id)
    unchanged = has_valid_content_hash(each.pdu, version)
    event = Event.from_pdu(each.pdu if unchanged else redact(each.pdu, version), version, each.event_id)
    if room_id is not None and event.room_id != room_id:
        return DroppedPdu("The event is of another room", each.event_id)
    return event


def _is_signed(each: _Signed, of_server: Iterable[WantedKey], keys: Mapping[WantedKey, bytes]) -> bool:
    return any(wanted in keys and _fits(each, wanted, keys[wanted]) for wanted in of_server)


def _fits(each: _Signed, wanted: WantedKey, verify_key: bytes) -> bool:
    try:
        verify_bytes(each.message, signature_of(each.pdu, wanted.server_name, wanted.key_id), verify_key)
    except InvalidSignature:
        return False
    return True


# --- Many events ---


async def _in_slices(work: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """Few at once here, many in threads, so that nobody waits for a big room."""
    if len(items) <= INLINE:
        return [work(item) for item in items]
    slots = asyncio.Semaphore(SLICES_AT_ONCE)

    async def one(start: int) -> list[Out]:
        async with slots:
            return await asyncio.to_thread(lambda: [work(item) for item in items[start : start + SLICE]])

    parts = await asyncio.gather(*(one(start) for start in range(0, len(items), SLICE)))
    return [each for part in parts for each in part]
