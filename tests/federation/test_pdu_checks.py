"""Which events of other servers are looked at any further."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from homeserver.federation.keyring import WantedKey
from homeserver.federation.pdu_checks import DroppedPdu, PduChecks, kept
from homeserver.protocol.builder import EventDraft, build_event
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import content_hash, encode_base64, event_id_of
from homeserver.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from homeserver.protocol.signing import SigningKey, sign_event
from tests.federation.peers import signing_key

PEER, MALLORY = "peer.example", "mallory.example"
KEY, MALLORYS = signing_key(2), signing_key(3)
UNTIL_MS = 5_000
ALL_VERSIONS = tuple(ROOM_VERSIONS)
ROOM = "!room:peer.example"


@dataclass(slots=True)
class KnownKeys:
    """Keys that can be used for events up to UNTIL_MS; remembers what was asked for."""

    by_server: Mapping[str, SigningKey]
    asked: list[set[WantedKey]] = field(default_factory=list)

    async def find(self, wanted: Collection[WantedKey]) -> Mapping[WantedKey, bytes]:
        self.asked.append(set(wanted))
        return {
            each: key.verify_key
            for each in wanted
            if (key := self.by_server.get(each.server_name)) and key.key_id == each.key_id and each.at_ms <= UNTIL_MS
        }


@pytest.fixture
def keys() -> KnownKeys:
    return KnownKeys({PEER: KEY, MALLORY: MALLORYS})


@pytest.fixture
def checks(keys: KnownKeys) -> PduChecks:
    return PduChecks(keys)


def message(version: RoomVersion, text: str = "hello", **changes: Any) -> dict[str, Any]:
    content = changes.pop("content", {"msgtype": "m.text", "body": text})
    draft = EventDraft(
        changes.pop("type", "m.room.message"), "@bob:peer.example", content, changes.pop("state_key", None)
    )
    event = build_event(
        draft,
        room_version=version,
        room_id=ROOM,
        prev_event_ids=[],
        auth_event_ids=[],
        depth=3,
        origin_server_ts=changes.pop("at_ms", 1_000),
        server_name=changes.pop("server", PEER),
        signing_key=changes.pop("key", KEY),
    )
    return {**event.pdu, **changes}


async def only(checks: PduChecks, pdu: Any, version: RoomVersion, **more: Any) -> Event | DroppedPdu:
    (result,) = await checks([pdu], version, **more)
    return result


@pytest.mark.parametrize("name", ALL_VERSIONS)
async def test_bobs_message_is_let_in(checks: PduChecks, name: str) -> None:
    version = ROOM_VERSIONS[name]
    pdu = message(version)
    event = await only(checks, {**pdu, "unsigned": {"age": 1}}, version, room_id=ROOM)
    assert isinstance(event, Event)
    assert (event.event_id, event.pdu) == (event_id_of(pdu, version), pdu)


@pytest.mark.parametrize("name", ALL_VERSIONS)
async def test_changed_content_comes_redacted(checks: PduChecks, name: str) -> None:
    """ "If the hash check fails, the event is redacted before processing further" """
    version = ROOM_VERSIONS[name]
    pdu = message(version)
    event = await only(checks, {**pdu, "content": {"body": "I owe Mallory"}, "extra": 1}, version)
    assert isinstance(event, Event)
    assert (event.event_id, event.content, "extra" in event.pdu) == (event_id_of(pdu, version), {}, False)


async def test_what_is_not_signed_by_its_sender_is_dropped(checks: PduChecks) -> None:
    version = ROOM_VERSIONS["10"]
    pdu = message(version)
    resigned = sign_event({**pdu, "signatures": {}}, version, MALLORY, MALLORYS)
    mallorys = sign_event({**pdu, "signatures": {}}, version, PEER, MALLORYS)
    cut = copy.deepcopy(pdu)
    cut["signatures"][PEER][KEY.key_id] = cut["signatures"][PEER][KEY.key_id][:-4]
    nothing = {**pdu, "signatures": {PEER: {KEY.key_id: "é not base64"}}}
    earlier = {**pdu, "origin_server_ts": 999}
    for each in (resigned, mallorys, cut, nothing, earlier, {**pdu, "signatures": {PEER: {"ed25519:other": "AA"}}}):
        result = await only(checks, each, version)
        assert isinstance(result, DroppedPdu)
        assert "signature" in result.reason
        assert result.event_id is not None


async def test_signatures_of_others_beside_it_do_no_harm(checks: PduChecks) -> None:
    version = ROOM_VERSIONS["10"]
    pdu = message(version)
    pdu["signatures"] = {PEER: {"ed25519:old": "AAAA", **pdu["signatures"][PEER]}, MALLORY: {"ed25519:x": "nonsense"}}
    assert isinstance(await only(checks, pdu, version), Event)


async def test_keys_count_for_their_time_since_version_5(checks: PduChecks) -> None:
    late = {"at_ms": UNTIL_MS + 1}
    assert isinstance(await only(checks, message(ROOM_VERSIONS["4"], **late), ROOM_VERSIONS["4"]), Event)
    assert isinstance(await only(checks, message(ROOM_VERSIONS["5"], **late), ROOM_VERSIONS["5"]), DroppedPdu)


async def test_until_version_2_the_server_of_the_event_id_signs_too(checks: PduChecks) -> None:
    version = ROOM_VERSIONS["2"]
    pdu = {**message(version), "event_id": "$taken:mallory.example"}
    once = sign_event({**pdu, "signatures": {}}, version, PEER, KEY)
    assert isinstance(await only(checks, once, version), DroppedPdu)
    assert isinstance(await only(checks, sign_event(once, version, MALLORY, MALLORYS), version), Event)


async def test_a_restricted_join_is_signed_by_who_vouches(checks: PduChecks) -> None:
    version = ROOM_VERSIONS["8"]
    content = {"membership": "join", "join_authorised_via_users_server": "@m:mallory.example"}
    pdu = message(version, type="m.room.member", state_key="@bob:peer.example", content=content)
    assert isinstance(await only(checks, pdu, version), DroppedPdu)
    assert isinstance(await only(checks, sign_event(pdu, version, MALLORY, MALLORYS), version), Event)


async def test_what_is_no_event_is_dropped_without_harm_to_the_others(checks: PduChecks) -> None:
    version = ROOM_VERSIONS["10"]
    good = message(version)
    nested: Any = []
    for _ in range(250):
        nested = [nested]
    bad = [
        None, 1, "event", [], {}, {**good, "depth": -1}, {**good, "depth": 2**53}, {**good, "depth": True},
        {**good, "content": []}, {**good, "prev_events": ["$x"] * 21}, {**good, "auth_events": ["$x"] * 11},
        {**good, "prev_events": [[]]}, {**good, "auth_events": {}}, {**good, "signatures": []},
        {**good, "signatures": {PEER: []}}, {**good, "hashes": {}}, {**good, "room_id": "room"},
        {**good, "sender": "@bob"}, {**good, "type": "a\0"}, {**good, "state_key": "\0"}, {**good, "type": "a" * 256},
        {**good, "content": {"body": "a" * 65_536}}, {**good, "content": {"float": 1.5}}, {**good, "extra": 2**53},
        {**good, "content": {"deep": nested}}, {**good, "redacts": "\0"},
    ]  # fmt: skip
    results = await checks([*bad, good], version)
    assert [isinstance(each, Event) for each in results] == [False] * (len(bad) - 1) + [False, True]
    assert all(isinstance(each, DroppedPdu) and each.reason for each in results[:-1])


async def test_events_of_other_rooms_are_dropped_where_one_is_meant(checks: PduChecks) -> None:
    result = await only(checks, message(ROOM_VERSIONS["10"]), ROOM_VERSIONS["10"], room_id="!other:peer.example")
    assert isinstance(result, DroppedPdu)
    assert result.reason == "The event is of another room"


async def test_keys_are_asked_for_once(checks: PduChecks, keys: KnownKeys) -> None:
    version = ROOM_VERSIONS["10"]
    many = message(version)
    many["signatures"] = {PEER: {f"ed25519:{number}": "AAAA" for number in range(500)}}
    await checks([message(version, "a"), message(version, "b"), many], version)
    assert [len(each) for each in keys.asked] == [9]


async def test_many_are_checked_in_order_and_nobody_waits(checks: PduChecks) -> None:
    version = ROOM_VERSIONS["10"]
    pdus = [message(version, str(number)) for number in range(1_500)]
    pdus[700] = {**pdus[700], "signatures": {}}
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            before = time.monotonic()
            await asyncio.sleep(0)
            longest_s = max(longest_s, time.monotonic() - before)

    watching = asyncio.create_task(watch())
    results = await checks(pdus, version)
    watching.cancel()
    assert [each.content["body"] for each in kept(results)] == [str(n) for n in range(1_500) if n != 700]
    assert isinstance(results[700], DroppedPdu)
    # 1,500 at once are 200 ms; the machine of a test may be busy with others.
    assert longest_s < 0.1


def test_a_hash_that_does_not_fit_keeps_the_id() -> None:
    version = ROOM_VERSIONS["10"]
    pdu = message(version)
    other = {**pdu, "hashes": {"sha256": encode_base64(bytes(32))}}
    assert event_id_of(pdu, version) != event_id_of(other, version)


def renamed(event: Event, event_id: str, key: SigningKey) -> Event:
    """An event of version 1 or 2 under an id of its author's choice."""
    version = event.room_version
    pdu = {**event.pdu, "event_id": event_id, "signatures": {}}
    pdu["hashes"] = {"sha256": encode_base64(content_hash(pdu, version))}
    return Event.from_pdu(sign_event(pdu, version, event.sender_server, key), version)
