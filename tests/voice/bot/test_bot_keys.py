"""The bot's Olm: what it sends is read by one device only, and a key for frames gets from one bot to the other."""

from __future__ import annotations

import base64

import pytest

from tests.cast import PASSWORD, Server
from voice.bot.matrix import MatrixClient, Refused
from voice.bot.media_keys import EVENT_TYPE, MediaKeys
from voice.bot.membership import members_of
from voice.bot.olm_device import OlmDevice


async def bot_of(server: Server, name: str) -> OlmDevice:
    await server.register(name)
    client = MatrixClient(server.session, server.base_url)
    await client.login(name, PASSWORD)
    device = OlmDevice(client)
    await device.publish()
    await client.sync()
    return device


async def letters(device: OlmDevice) -> list[dict[str, object]]:
    return list((await device.client.sync(0)).get("to_device", {}).get("events", []))


async def test_a_frame_key_travels_from_alice_to_bob_and_his_comes_back(server: Server) -> None:
    alice, bob = await bot_of(server, "alice"), await bot_of(server, "bob")
    heard: dict[str, tuple[str, bytes, int]] = {}
    hers = MediaKeys(alice, "!room:test", lambda *key: heard.update(alice=key))
    his = MediaKeys(bob, "!room:test", lambda *key: heard.update(bob=key))
    members = [(each.client.user_id, each.client.device_id) for each in (alice, bob)]

    await hers.tell(members)
    (letter,) = await letters(bob)
    opened = bob.open(letter)
    assert opened is not None
    assert opened.event_type == EVENT_TYPE
    his.take(opened)
    assert heard["bob"] == (f"{alice.client.user_id}:{alice.client.device_id}", hers.key, 0)

    # The answer goes through the session that her letter opened.
    await his.tell(members)
    (answer,) = await letters(alice)
    back = alice.open(answer)
    assert back is not None
    hers.take(back)
    assert heard["alice"] == (f"{bob.client.user_id}:{bob.client.device_id}", his.key, 0)

    await hers.tell(members)
    assert await letters(bob) == [], "nobody is told twice"


async def test_mallory_cannot_read_or_forge_what_alice_sent_to_bob(server: Server) -> None:
    alice, bob, mallory = [await bot_of(server, name) for name in ("alice", "bob", "mallory")]
    devices = await alice.devices_of([bob.client.user_id])
    await alice.send(EVENT_TYPE, {"keys": {}}, devices)
    (letter,) = await letters(bob)
    assert mallory.open(letter) is None
    forged = {**letter, "sender": mallory.client.user_id}
    assert bob.open(forged) is None


async def test_keys_for_other_rooms_and_keys_that_are_none_are_not_taken(server: Server) -> None:
    alice, bob = await bot_of(server, "alice"), await bot_of(server, "bob")
    taken: list[object] = []
    his = MediaKeys(bob, "!room:test", lambda *key: taken.append(key))
    key = base64.b64encode(b"k" * 16).decode()
    device = {"claimed_device_id": alice.client.device_id}
    for content in (
        {"keys": {"index": 0, "key": key}, "room_id": "!other:test", "member": device},
        {"keys": {"index": 999, "key": key}, "room_id": "!room:test", "member": device},
        {"keys": {"index": 0, "key": 7}, "room_id": "!room:test", "member": device},
        {"keys": [], "room_id": "!room:test"},
    ):
        await alice.send(EVENT_TYPE, content, await alice.devices_of([bob.client.user_id]))
        for letter in await letters(bob):
            opened = bob.open(letter)
            assert opened is not None
            his.take(opened)
    assert taken == []


async def test_a_refusal_says_what_the_server_said(server: Server) -> None:
    client = MatrixClient(server.session, server.base_url)
    with pytest.raises(Refused, match="403 M_FORBIDDEN"):
        await client.login("nobody", "nothing")


def test_members_are_those_whose_state_says_so() -> None:
    content = {"application": "m.call", "device_id": "D"}
    event = {"type": "org.matrix.msc3401.call.member", "sender": "@a:t", "content": content}
    assert members_of([event, {**event, "content": {}}, {**event, "type": "m.room.name"}]) == [("@a:t", "D")]
