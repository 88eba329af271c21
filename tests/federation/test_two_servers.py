"""Alice at alpha and Bob at beta: two of our own servers in one process, over real TLS."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from homeserver import VERSION
from homeserver.federation.keyring import SERVER_KEYS
from homeserver.federation.remote_call_tokens import STABLE, UNSTABLE
from homeserver.protocol.server_keys import DAY_MS, read_published_keys
from homeserver.protocol.signing import verify_json
from homeserver.storage.server_keys import MAX_DOCUMENTS
from tests.cast import Client
from tests.clock import START_MS, FakeClock
from tests.dns import FakeDns
from tests.federation.conftest import ALPHA, BETA, Home
from tests.federation.peers import Peer, key_document, signing_key
from tests.voice.callers import SERVICE, ask_homeserver, openid, sfu_get
from tests.voice.recording_backend import read_token
from voice import tokens

PROJECT = Path(__file__).parents[2]
USER_INFO = "/_matrix/federation/v1/openid/userinfo"


async def call_with(alpha: Home, *remote_user_ids: str) -> tuple[Client, str]:
    """Alice in a call of a room in which users of other servers are."""
    alice = await alpha.server.register("alice")
    room_id = await alice.create_room()
    room = await alpha.server.application.base.cache.get(room_id)
    room.joined |= set(remote_user_ids)  # as joins over federation would
    await sfu_get(alice, room_id)
    return alice, room_id


async def bring_room(room_id: str, origin: Home, there: Home) -> None:
    """As if `there` had joined the room of `origin`."""
    there.server.application.base.cache.add(await origin.server.application.base.cache.get(room_id))


# --- Describing themselves ---


async def test_a_server_says_what_it_is(alpha: Home) -> None:
    answer = await alpha.server.anonymous().get("/_matrix/federation/v1/version")
    assert answer == {"server": {"name": "VoiceChat", "version": VERSION}}


def test_the_version_is_that_of_the_package() -> None:
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"] == VERSION


async def test_a_server_publishes_its_key(alpha: Home, clock: FakeClock) -> None:
    for path in (SERVER_KEYS, f"{SERVER_KEYS}/ed25519:key1"):
        document = await alpha.server.anonymous().get(path)
        published = read_published_keys(document, ALPHA, clock.now_ms())
        assert published.keys["ed25519:key1"].verify_key == signing_key(11, "key1").verify_key
        assert published.valid_until_ms == clock.now_ms() + DAY_MS


async def test_the_servers_believe_each_other(alpha: Home, beta: Home) -> None:
    """What beta signs, alpha believes, after it has asked beta for its key."""
    key, keyring = signing_key(12, "key2"), alpha.server.application.federation.keyring
    await keyring.verify(BETA, key.key_id, b"hello", key.sign(b"hello"))


# --- Notary ---


async def test_alpha_vouches_for_the_key_of_beta(alpha: Home, beta: Home, dns: FakeDns, clock: FakeClock) -> None:
    ask = alpha.server.anonymous()
    verify_key = signing_key(11, "key1").verify_key
    body = {"server_keys": {BETA: {}, ALPHA: {}, "nobody.example": {}, "no name/": {}}}
    answers = [await ask.post("/_matrix/key/v2/query", body), await ask.get(f"/_matrix/key/v2/query/{BETA}")]
    answers.append(await ask.get(f"/_matrix/key/v2/query/{BETA}/ed25519:any"))
    dns.hosts.clear()  # beta is gone
    clock.advance(days=2)
    answers.append(await ask.get(f"/_matrix/key/v2/query/{BETA}"))
    for answer in answers:
        documents = {each["server_name"]: each for each in answer["server_keys"]}
        assert BETA in documents
        for name, document in documents.items():
            verify_json(document, ALPHA, "ed25519:key1", verify_key)
            read_published_keys(document, name, START_MS)
    assert {each["server_name"] for each in answers[0]["server_keys"]} == {ALPHA, BETA}
    assert (await ask.get("/_matrix/key/v2/query/nobody.example")) == {"server_keys": []}


async def test_a_notary_asks_again_when_what_it_has_does_not_last(alpha: Home, peer: Peer, clock: FakeClock) -> None:
    ask, key = alpha.server.anonymous(), signing_key(2)
    peer.says(SERVER_KEYS, key_document("peer.example", key))
    path = "/_matrix/key/v2/query/peer.example"
    for _ in range(3):
        await ask.get(path)
    assert len(peer.heard) == 1
    clock.advance(hours=13)
    later_ms = clock.now_ms() + DAY_MS
    peer.says(SERVER_KEYS, key_document("peer.example", key, valid_until_ms=later_ms))
    answer = await ask.get(path)
    assert answer["server_keys"][0]["valid_until_ts"] == later_ms
    clock.advance(hours=1)
    body = {"server_keys": {"peer.example": {key.key_id: {"minimum_valid_until_ts": later_ms + 1}}}}
    await ask.post("/_matrix/key/v2/query", body)
    assert len(peer.heard) == 3


async def test_a_notary_keeps_vouching_for_a_key_that_its_server_forgot(
    alpha: Home, peer: Peer, clock: FakeClock
) -> None:
    ask, path = alpha.server.anonymous(), "/_matrix/key/v2/query/peer.example"
    forgotten, others = signing_key(2), [signing_key(number, f"new{number}") for number in range(20, 30)]
    peer.says(SERVER_KEYS, key_document("peer.example", forgotten))
    await ask.get(path)
    for key in others[:3]:
        clock.advance(days=1)
        peer.says(SERVER_KEYS, key_document("peer.example", key, valid_until_ms=clock.now_ms() + DAY_MS))
        await ask.get(path)

    def body(*key_ids: str) -> dict[str, Any]:
        return {"server_keys": {"peer.example": {key_id: {} for key_id in key_ids}}}

    async def vouched(*key_ids: str) -> list[str]:
        answer = await ask.post("/_matrix/key/v2/query", body(*key_ids))
        return [key_id for document in answer["server_keys"] for key_id in document["verify_keys"]]

    assert await vouched(forgotten.key_id) == [forgotten.key_id]
    assert await vouched(others[0].key_id, forgotten.key_id) == [others[0].key_id, forgotten.key_id]
    assert await vouched() == await vouched("ed25519:nobody") == [others[2].key_id]
    # Only so many of them, as whoever changes his keys all the time would fill the disk.
    for key in others[3:]:
        clock.advance(days=1)
        peer.says(SERVER_KEYS, key_document("peer.example", key, valid_until_ms=clock.now_ms() + DAY_MS))
        await ask.get(path)
    assert (
        await alpha.server.application.base.database.fetchval("SELECT count(*) FROM server_key_documents")
        == MAX_DOCUMENTS
    )
    assert await vouched(forgotten.key_id) == [others[-1].key_id]


async def test_questions_to_a_notary_that_are_none(alpha: Home) -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"server_keys": []},
        {"server_keys": {"a": 1}},
        {"server_keys": {"a": {"b": 1}}},
    ]
    for body in bodies:
        await alpha.server.anonymous().post("/_matrix/key/v2/query", body, expect=400)


# --- Calls ---


async def test_bob_of_beta_comes_into_a_call_at_alpha_with_his_openid_token(alpha: Home, beta: Home) -> None:
    bob = await beta.server.register("bob")
    _, room_id = await call_with(alpha, bob.user_id)
    body = {"room": room_id, "openid_token": await openid(bob), "device_id": "PHONE"}
    answer = await alpha.server.anonymous().post(f"{SERVICE}/sfu/get", body)
    token = read_token(answer["jwt"])
    assert token.video is not None
    assert (answer["url"], token.identity) == ("ws://sfu.alpha.example", "@bob:beta.example:PHONE")
    assert (token.video.can_publish, token.video.can_subscribe) == (True, True)


async def test_a_token_that_beta_does_not_know_opens_nothing(alpha: Home, beta: Home) -> None:
    bob = await beta.server.register("bob")
    _, room_id = await call_with(alpha, bob.user_id)
    credential = await openid(bob)
    for wrong in ("guessed", "", "x" * 5000, "a&b=c#d"):
        body = {"room": room_id, "openid_token": {**credential, "access_token": wrong}, "device_id": "PHONE"}
        await alpha.server.anonymous().post(f"{SERVICE}/sfu/get", body, expect=(401, "M_UNAUTHORIZED"))


async def test_a_server_vouches_for_its_own_users_only(alpha: Home, peer: Peer) -> None:
    _, room_id = await call_with(alpha, "@bob:peer.example")
    credential = {"access_token": "x", "matrix_server_name": "peer.example"}
    body = {"room": room_id, "openid_token": credential, "device_id": "PHONE"}
    for sub in ("@alice:alpha.example", "@bob:peer.example:8448", "bob", None, 7):
        peer.says(USER_INFO, {"sub": sub})
        await alpha.server.anonymous().post(f"{SERVICE}/sfu/get", body, expect=(401, "M_UNAUTHORIZED"))
    assert (peer.heard[0].uri, peer.heard[0].authorization) == (f"{USER_INFO}?access_token=x", None)


async def test_strangers_do_not_choose_whom_we_ask(alpha: Home, peer: Peer, dns: FakeDns) -> None:
    _, room_id = await call_with(alpha)
    credential = {"access_token": "x", "matrix_server_name": "peer.example"}
    for room in (room_id, "!nowhere:peer.example", "nonsense"):
        body = {"room": room, "openid_token": credential, "device_id": "PHONE"}
        await alpha.server.anonymous().post(f"{SERVICE}/sfu/get", body, expect=(401, "M_UNAUTHORIZED"))
    assert (peer.heard, dns.asked) == ([], [])


async def test_beta_asks_alpha_for_bobs_token(alpha: Home, beta: Home) -> None:
    bob = await beta.server.register("bob")
    _, room_id = await call_with(alpha, bob.user_id)
    await bring_room(room_id, alpha, beta)
    jwt = (await ask_homeserver(bob, room_id, server_name=ALPHA))["jwt"]
    token = read_token(jwt)
    assert token.video is not None
    assert token.identity == tokens.member_identity(bob.user_id, "m1")
    assert (token.video.room, token.video.can_publish) == (tokens.sfu_room(room_id), False)
    alpha.sfu.join(jwt)
    assert beta.sfu.rooms == {}


async def test_what_alpha_refuses_bob_hears_of(alpha: Home, beta: Home) -> None:
    bob, carol = await beta.server.register("bob"), await beta.server.register("carol")
    alice, room_id = await call_with(alpha, bob.user_id)
    await ask_homeserver(bob, room_id, server_name=ALPHA, expect=(403, "M_FORBIDDEN"))  # beta does not know the room
    await bring_room(room_id, alpha, beta)
    await ask_homeserver(carol, room_id, server_name=ALPHA, expect=(403, "M_FORBIDDEN"))
    await ask_homeserver(bob, room_id, server_name=ALPHA, url="wss://elsewhere", expect=(400, "M_INVALID_PARAM"))
    await ask_homeserver(bob, room_id, server_name="no name/", expect=(400, "M_INVALID_PARAM"))
    await ask_homeserver(bob, room_id, server_name="nobody.example", expect=(502, "M_UNKNOWN"))
    (await alpha.server.application.base.cache.get(room_id)).joined.discard(bob.user_id)
    await ask_homeserver(bob, room_id, server_name=ALPHA, expect=(403, "M_FORBIDDEN"))
    await ask_homeserver(alice, room_id, server_name=ALPHA)


async def test_a_server_of_today_is_asked_under_the_unstable_name(alpha: Home, peer: Peer) -> None:
    alice, room_id = await call_with(alpha)
    peer.says(UNSTABLE, {"jwt": "a.b.c"})
    assert await ask_homeserver(alice, room_id, server_name="peer.example", url="wss://sfu") == {"jwt": "a.b.c"}
    assert peer.paths() == [STABLE, UNSTABLE]
    assert b'"server_name"' not in peer.heard[0].body
    assert b'"user_id":"@alice:alpha.example"' in peer.heard[0].body


async def test_two_refusals_are_passed_on_and_nothing_else(alpha: Home, peer: Peer) -> None:
    alice, room_id = await call_with(alpha)
    answers: list[tuple[int, Any, tuple[int, str]]] = [
        (403, {"errcode": "M_FORBIDDEN", "error": "secret"}, (403, "M_FORBIDDEN")),
        (400, {"errcode": "M_INVALID_PARAM", "error": "secret"}, (400, "M_INVALID_PARAM")),
        (403, {"errcode": "M_UNKNOWN", "error": "secret"}, (502, "M_UNKNOWN")),
        (401, {"errcode": "M_UNKNOWN_TOKEN", "error": "secret"}, (502, "M_UNKNOWN")),
        (429, {"errcode": "M_LIMIT_EXCEEDED", "error": "secret"}, (502, "M_UNKNOWN")),
        (500, b"<html>secret", (502, "M_UNKNOWN")),
        (200, {}, (502, "M_UNKNOWN")),
        (200, {"jwt": 7}, (502, "M_UNKNOWN")),
        (200, b"secret", (502, "M_UNKNOWN")),
    ]
    for status, body, expected in answers:
        peer.says(STABLE, body, status)
        alpha.server.application.federation.client.pauses.reached("peer.example")
        answer = await ask_homeserver(alice, room_id, server_name="peer.example", url="wss://sfu", expect=expected)
        assert "secret" not in str(answer)
