"""Alice invites somebody by his e-mail address; an identity server says later who that is."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.federation.client import request_uri
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import sign_json
from tests.cast import Client, Expected
from tests.federation.conftest import Home
from tests.federation.doors import open_room
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, signing_key

BOB = "@bob:peer.example"
IDENTITY, KEY = "id.example", signing_key(50, "id")
TOKEN = "the_token"
ON_BIND = f"{V1}/3pid/onbind"
EXCHANGE = f"{V1}/exchange_third_party_invite"
WRONG = (400, "M_INVALID_PARAM")
REFUSED = (403, "M_FORBIDDEN")


@pytest.fixture
def bob(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


@pytest.fixture
async def alice(alpha: Home) -> Client:
    return await alpha.server.register("alice")


def pending(token: str = TOKEN) -> dict[str, Any]:
    """The content of m.room.third_party_invite."""
    key = encode_base64(KEY.verify_key)
    return {
        "display_name": "b...@example.org",
        "key_validity_url": "https://id.example/valid",
        "public_key": key,
        "public_keys": [{"public_key": key}],
        "token": token,
    }


def signed(mxid: str, token: str = TOKEN, key: Any = KEY) -> dict[str, Any]:
    return sign_json({"mxid": mxid, "token": token}, IDENTITY, key)


def bound(mxid: str, room_id: str, sender: str, /, **changes: Any) -> dict[str, Any]:
    """What an identity server sends."""
    invite = {
        "medium": "email",
        "address": "b@example.org",
        "mxid": mxid,
        "room_id": room_id,
        "sender": sender,
        "signed": signed(mxid),
        **changes,
    }
    return {"medium": "email", "address": "b@example.org", "mxid": mxid, "invites": [invite]}


def partial(room_id: str, sender: str, target: str, **changes: Any) -> dict[str, Any]:
    content = {"membership": "invite", "third_party_invite": {"display_name": "x", "signed": signed(target)}}
    return {
        "type": "m.room.member",
        "room_id": room_id,
        "sender": sender,
        "state_key": target,
        "content": content,
        **changes,
    }


async def exchange(
    bob: ForeignServer, alpha: Home, room_id: str, body: dict[str, Any], expect: Expected = 200
) -> None:  # fmt: skip
    await bob.ask(alpha.server, "PUT", request_uri(EXCHANGE, room_id), body, expect=expect)


async def membership_of(home: Home, room_id: str, user_id: str) -> str:
    return (await home.server.application.base.cache.get(room_id)).membership(user_id)


# --- The identity server tells alpha ---


async def test_a_bound_address_becomes_an_invitation(alpha: Home, alice: Client) -> None:
    dora = await alpha.server.register("dora")
    room_id = await open_room(alice, join_rule="invite")
    await alice.set_state(room_id, "m.room.third_party_invite", pending(), TOKEN)
    ask = alpha.server.anonymous()
    assert await ask.put(ON_BIND, bound(dora.user_id, room_id, alice.user_id)) == {}
    assert await membership_of(alpha, room_id, dora.user_id) == "invite"
    event = await alice.state(room_id, "m.room.member", dora.user_id)
    assert event["third_party_invite"] == {"display_name": "b...@example.org", "signed": signed(dora.user_id)}
    await dora.join(room_id)
    # Once is enough: somebody who is in the room is not invited again.
    await ask.put(ON_BIND, bound(dora.user_id, room_id, alice.user_id))
    assert await membership_of(alpha, room_id, dora.user_id) == "join"


async def test_what_the_identity_server_did_not_sign_invites_nobody(alpha: Home, alice: Client) -> None:
    mallory = await alpha.server.register("mallory")
    room_id = await open_room(alice, join_rule="invite")
    await alice.set_state(room_id, "m.room.third_party_invite", pending(), TOKEN)
    me, ask = mallory.user_id, alpha.server.anonymous()
    lies: list[dict[str, Any]] = [
        {"signed": signed(me, key=signing_key(51, "id"))},
        {"signed": signed(alice.user_id)},
        {"signed": {**signed(me), "signatures": {}}},
        {"signed": {**signed(me), "signatures": {IDENTITY: 7}}},
        {"signed": signed(me, "other_token")},
        {"signed": None},
        {"signed": {**signed(me), "more": "x" * 50_000}},
        {"sender": mallory.user_id},
        {"sender": "nobody"},
        {"mxid": alice.user_id},
        {"room_id": "!nowhere:alpha.example"},
        {"room_id": 7},
    ]
    for lie in lies:
        await ask.put(ON_BIND, bound(me, room_id, alice.user_id, **lie), expect=REFUSED)
        assert await membership_of(alpha, room_id, me) == "leave"
    for junk in (None, 7, []):
        await ask.put(ON_BIND, {**bound(me, room_id, alice.user_id), "invites": [junk]}, expect=REFUSED)
    assert await ask.put(ON_BIND, {**bound(me, room_id, alice.user_id), "invites": []}) == {}
    await ask.put(ON_BIND, {**bound(me, room_id, alice.user_id), "invites": {}}, expect="M_BAD_JSON")
    await ask.put(ON_BIND, bound(BOB, room_id, alice.user_id), expect=WRONG)
    await ask.put(ON_BIND, bound("@nobody:alpha.example", room_id, alice.user_id), expect=REFUSED)


async def test_a_withdrawn_invitation_is_void(alpha: Home, alice: Client) -> None:
    dora = await alpha.server.register("dora")
    room_id = await open_room(alice, join_rule="invite")
    await alice.set_state(room_id, "m.room.third_party_invite", pending(), TOKEN)
    await alice.set_state(room_id, "m.room.third_party_invite", {}, TOKEN)
    await alpha.server.anonymous().put(ON_BIND, bound(dora.user_id, room_id, alice.user_id), expect=REFUSED)
    assert await membership_of(alpha, room_id, dora.user_id) == "leave"


async def test_a_room_of_others_is_asked_for(alpha: Home, bob: ForeignServer, alice: Client) -> None:
    """Alpha is not in the room: the inviting server issues the invitation."""
    asked: list[Asked] = []

    def answer(request: Asked) -> Any:
        asked.append(request)
        return {}

    bob.peer.serves("PUT", EXCHANGE + "/{room_id}", answer)
    room = bob.host(ForeignRoom.create("10"))
    body = bound(alice.user_id, room.room_id, MALLORY)
    body["invites"] *= 30
    await alpha.server.anonymous().put(ON_BIND, body)
    assert len(asked) == 20
    assert asked[0].path["room_id"] == room.room_id
    told = asked[0].body
    assert (told["sender"], told["state_key"], told["room_id"]) == (MALLORY, alice.user_id, room.room_id)
    assert told["content"]["third_party_invite"]["signed"] == signed(alice.user_id)
    assert "b@example.org" not in str(told)


# --- Bob's server asks alpha ---


async def test_only_what_fits_is_exchanged(alpha: Home, bob: ForeignServer, alice: Client) -> None:
    room_id = await open_room(alice, join_rule="invite")
    await alice.set_state(room_id, "m.room.third_party_invite", pending(), TOKEN)
    good = partial(room_id, alice.user_id, BOB)
    eve = "@eve:other.example"
    attempts: list[tuple[dict[str, Any], Any]] = [
        ({**good, "type": "m.room.name"}, WRONG),
        ({**good, "room_id": "!other:alpha.example"}, WRONG),
        ({**good, "content": {"membership": "join"}}, WRONG),
        ({**good, "content": {"membership": "invite"}}, WRONG),
        ({**good, "state_key": eve}, WRONG),
        ({}, WRONG),
        (partial(room_id, alice.user_id, eve), REFUSED),
        (partial(room_id, "@nobody:alpha.example", BOB), REFUSED),
        (partial(room_id, BOB, BOB), REFUSED),
    ]
    for body, expect in attempts:
        await exchange(bob, alpha, room_id, body, expect)
    await exchange(bob, alpha, "!nowhere:alpha.example", {**good, "room_id": "!nowhere:alpha.example"}, 404)
    assert await membership_of(alpha, room_id, BOB) == "leave"


async def test_a_key_that_nobody_stands_by_invites_nobody(alpha: Home, bob: ForeignServer, alice: Client) -> None:
    dora = await alpha.server.register("dora")
    room_id = await open_room(alice, join_rule="invite")
    url = "https://id.example/valid"
    content = {**pending(), "public_keys": [{"public_key": encode_base64(KEY.verify_key), "key_validity_url": url}]}
    for each in (content, {**content, "key_validity_url": "http://id.example/", "public_keys": []}):
        await alice.set_state(room_id, "m.room.third_party_invite", each, TOKEN)
        await exchange(bob, alpha, room_id, partial(room_id, alice.user_id, BOB), REFUSED)
        await alpha.server.anonymous().put(ON_BIND, bound(dora.user_id, room_id, alice.user_id), expect=REFUSED)
    assert await membership_of(alpha, room_id, BOB) == "leave"
    assert await membership_of(alpha, room_id, dora.user_id) == "leave"


async def test_bob_is_invited_by_his_address(alpha: Home, bob: ForeignServer, alice: Client) -> None:
    room_id = await open_room(alice, join_rule="invite")
    await alice.set_state(room_id, "m.room.third_party_invite", pending(), TOKEN)
    await exchange(bob, alpha, room_id, partial(room_id, alice.user_id, BOB))
    assert await membership_of(alpha, room_id, BOB) == "invite"
    assert room_id in bob.invites
    event = await alice.state(room_id, "m.room.member", BOB)
    assert event["third_party_invite"]["display_name"] == "b...@example.org"


async def test_a_forged_exchange_is_refused(alpha: Home, bob: ForeignServer, alice: Client) -> None:
    room_id = await open_room(alice, join_rule="invite")
    await alice.set_state(room_id, "m.room.third_party_invite", pending(), TOKEN)
    for lie in (signed(BOB, key=signing_key(51, "id")), signed(BOB, "other_token")):
        body = partial(room_id, alice.user_id, BOB)
        body["content"]["third_party_invite"]["signed"] = lie
        await exchange(bob, alpha, room_id, body, REFUSED)
    assert await membership_of(alpha, room_id, BOB) == "leave"
