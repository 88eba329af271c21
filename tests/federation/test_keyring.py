"""The keys of other servers, and who is believed about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from homeserver.federation.keyring import QUERY, SERVER_KEYS, Keyring, WantedKey
from homeserver.protocol.errors import InvalidSignature
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import SigningKey, sign_json
from homeserver.storage.database import Database
from homeserver.storage.server_keys import ServerKeyRows
from tests.clock import START_MS, FakeClock
from tests.dns import FakeDns
from tests.federation.authority import Authority
from tests.federation.conftest import Us
from tests.federation.peers import DAY_MS, Peer, key_document, running_peer, signing_key

KEY, OTHER, NOTARY_KEY = signing_key(2), signing_key(3, "other"), signing_key(4, "notary")
MESSAGE = b"a message"
NOTARY = "notary.example"


@pytest.fixture
def keyring(us: Us, database: Database, clock: FakeClock) -> Keyring:
    return keyring_of(us, database, clock)


def keyring_of(us: Us, database: Database, clock: FakeClock, *notaries: str) -> Keyring:
    own = signing_key(1, "us")
    return Keyring(
        "us.example", {own.key_id: own.verify_key}, us.client, database, ServerKeyRows(), clock, notaries
    )  # fmt: skip


@pytest.fixture
async def notary(authority: Authority, dns: FakeDns) -> AsyncIterator[Peer]:
    async with running_peer(authority.context(NOTARY)) as notary:
        dns.point(NOTARY, 8448, notary.port)
        notary.says(SERVER_KEYS, key_document(NOTARY, NOTARY_KEY))
        yield notary


async def check(keyring: Keyring, key: SigningKey = KEY, server_name: str = "peer.example", **when: int) -> None:
    await keyring.verify(server_name, key.key_id, MESSAGE, key.sign(MESSAGE), **when)


async def refuse(keyring: Keyring, key: SigningKey = KEY, server_name: str = "peer.example", **when: int) -> None:
    with pytest.raises(InvalidSignature):
        await check(keyring, key, server_name, **when)


async def test_a_server_is_asked_once(keyring: Keyring, peer: Peer) -> None:
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    for _ in range(3):
        await check(keyring)
    with pytest.raises(InvalidSignature):
        await keyring.verify("peer.example", KEY.key_id, b"another message", KEY.sign(MESSAGE))
    assert peer.paths() == [SERVER_KEYS]
    assert peer.heard[0].authorization is None


async def test_keys_outlive_a_restart(
    keyring: Keyring, us: Us, database: Database, clock: FakeClock, peer: Peer
) -> None:
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    await check(keyring)
    await check(keyring_of(us, database, clock))
    assert len(peer.heard) == 1


async def test_many_who_ask_at_once_ask_once(keyring: Keyring, peer: Peer) -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.json_response(key_document("peer.example", KEY))

    peer.answers[SERVER_KEYS] = slow
    impatient = asyncio.ensure_future(check(keyring))
    await asyncio.sleep(0.01)
    impatient.cancel()
    await asyncio.gather(*(check(keyring) for _ in range(20)))
    assert len(peer.heard) == 1


async def test_an_expired_key_is_asked_for_again(keyring: Keyring, peer: Peer, clock: FakeClock) -> None:
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    await check(keyring)
    clock.advance(days=1, ms=1)
    peer.says(SERVER_KEYS, key_document("peer.example", KEY, valid_until_ms=clock.now_ms() + DAY_MS))
    await check(keyring)
    assert len(peer.heard) == 2


async def test_a_key_that_was_given_up_still_vouches_for_the_past(
    keyring: Keyring, peer: Peer, clock: FakeClock
) -> None:
    old = {KEY.key_id: {"key": encode_base64(KEY.verify_key), "expired_ts": START_MS - 1000}}
    peer.says(SERVER_KEYS, key_document("peer.example", OTHER, old_verify_keys=old))
    await check(keyring, OTHER)
    await check(keyring, KEY, at_ms=START_MS - 1000)
    await check(keyring, KEY, at_ms=0)
    await refuse(keyring, KEY, at_ms=START_MS - 999)
    await refuse(keyring, KEY)


async def test_a_key_that_nobody_has_makes_us_ask_once_a_minute(
    keyring: Keyring, peer: Peer, clock: FakeClock
) -> None:  # fmt: skip
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    for _ in range(5):
        await refuse(keyring, OTHER)
    assert len(peer.heard) == 1
    clock.advance(minutes=1)
    peer.says(SERVER_KEYS, key_document("peer.example", OTHER))
    await check(keyring, OTHER)


async def test_without_limits_a_server_is_asked_each_time(
    us: Us, database: Database, clock: FakeClock, peer: Peer
) -> None:
    keyring = keyring_of(us, database, clock)
    keyring.limited = False
    for _ in range(3):
        await keyring.refresh(["peer.example"])
    assert len(peer.heard) == 3


async def test_a_server_that_is_away_is_asked_less_and_less(keyring: Keyring, peer: Peer, clock: FakeClock) -> None:
    minutes = []
    for minute in range(16):
        heard = len(peer.heard)
        await refuse(keyring)
        if len(peer.heard) > heard:
            minutes.append(minute)
        clock.advance(minutes=1)
    assert minutes == [0, 1, 3, 7, 15]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {**key_document("peer.example", KEY), "valid_until_ts": START_MS + 5},
        key_document("mallory.example", KEY),
        {**key_document("peer.example", KEY), "signatures": {}},
        {**key_document("mallory.example", KEY), "server_name": "peer.example"},
    ],
)
async def test_a_document_that_does_not_fit_is_not_believed(
    keyring: Keyring, peer: Peer, database: Database, document: dict[str, Any]
) -> None:
    peer.says(SERVER_KEYS, document)
    await refuse(keyring)
    assert peer.paths() == [SERVER_KEYS]
    assert await database.fetchval("SELECT count(*) FROM server_keys") == 0


async def test_our_own_key_is_known_without_asking(keyring: Keyring) -> None:
    await check(keyring, signing_key(1, "us"), "us.example")
    await refuse(keyring, KEY, "us.example")


async def test_many_keys_take_one_statement(keyring: Keyring, database: Database, peer: Peer, clock: FakeClock) -> None:
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    wanted = [WantedKey("peer.example", KEY.key_id, START_MS)]
    wanted += [WantedKey(f"no{number}.example", KEY.key_id, START_MS) for number in range(30)]
    assert await keyring.find(wanted) == {wanted[0]: KEY.verify_key}
    keyring._known.pop(("peer.example", KEY.key_id))
    before = database.statements
    assert await keyring.find(wanted) == {wanted[0]: KEY.verify_key}
    assert database.statements - before == 1


# --- Notaries ---


async def test_a_notary_knows_the_keys_of_a_server_that_is_gone(
    us: Us, database: Database, clock: FakeClock, notary: Peer
) -> None:
    keyring = keyring_of(us, database, clock, NOTARY)
    document = key_document("gone.example", KEY, valid_until_ms=START_MS - DAY_MS)
    notary.says(QUERY, {"server_keys": [sign_json(document, NOTARY, NOTARY_KEY)]})
    await check(keyring, KEY, "gone.example", at_ms=START_MS - DAY_MS)
    await refuse(keyring, KEY, "gone.example")
    assert [each.method for each in notary.heard] == ["POST", "GET"]
    assert b"gone.example" in notary.heard[0].body


@pytest.mark.parametrize("signer", [None, OTHER, NOTARY_KEY])
async def test_a_notary_is_believed_when_both_have_signed(
    us: Us, database: Database, clock: FakeClock, notary: Peer, signer: SigningKey | None
) -> None:
    keyring = keyring_of(us, database, clock, NOTARY)
    document = key_document("gone.example", KEY)
    if signer is NOTARY_KEY:  # but the server has not
        document = {**document, "signatures": {}}
    notary.says(QUERY, {"server_keys": [document if signer is None else sign_json(document, NOTARY, signer)]})
    await refuse(keyring, KEY, "gone.example")


@pytest.mark.parametrize("answer", [{}, {"server_keys": 7}, {"server_keys": [7, {}, {"server_name": []}]}])
async def test_a_notary_may_talk_nonsense(
    us: Us, database: Database, clock: FakeClock, notary: Peer, answer: dict[str, Any]
) -> None:
    notary.says(QUERY, answer)
    await refuse(keyring_of(us, database, clock, NOTARY), KEY, "gone.example")


async def test_a_notary_that_is_away_is_no_harm(us: Us, database: Database, clock: FakeClock, peer: Peer) -> None:
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    keyring = keyring_of(us, database, clock, "nobody.example")
    await refuse(keyring, KEY, "gone.example")
    await check(keyring)
