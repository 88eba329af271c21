"""Stories about what of end-to-end encryption comes through /sync: letters, counts of keys, changed device lists."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.cast import Client, Server, SyncAnswer
from tests.signers import bootstrap, publish

SECONDS = 30


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


@pytest.fixture
async def bob(server: Server) -> Client:
    return await server.register("bob")


async def send(sender: Client, receiver: Client, content: dict[str, Any]) -> None:
    path = ("sendToDevice", "m.room.encrypted", next(sender.txn_ids))
    await sender.put(path, {"messages": {receiver.user_id: {receiver.device_id: content}}})


async def while_waiting(reader: Client, action: Awaitable[Any]) -> SyncAnswer:
    """What a long poll answers that waits while something happens."""
    waiting = asyncio.create_task(reader.sync(timeout=SECONDS * 1000))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await action
    return await asyncio.wait_for(waiting, SECONDS)


def letters(answer: SyncAnswer) -> list[int]:
    return [event["content"]["number"] for event in answer.to_device()]


async def changes(reader: Client, since: str, to: str) -> tuple[list[str], list[str]]:
    answer = await reader.get("keys/changes", **{"from": since, "to": to})
    return answer["changed"], answer["left"]


async def test_a_letter_ends_a_long_poll_and_comes_once(server: Server, alice: Client, bob: Client) -> None:
    await bob.sync()
    assert letters(await while_waiting(bob, send(alice, bob, {"number": 1}))) == [1]
    assert letters(await bob.sync()) == []


async def test_letters_come_again_until_the_next_token_is_used(server: Server, alice: Client, bob: Client) -> None:
    await bob.sync()
    since = bob.next_batch
    await send(alice, bob, {"number": 1})
    assert letters(await bob.sync(since=since)) == [1]
    await send(alice, bob, {"number": 2})
    assert letters(await bob.sync(since=since)) == [1, 2]
    assert letters(await bob.sync()) == []
    await server.application.encryption.to_device.flush()
    assert await server.application.base.database.fetchval("SELECT count(*) FROM to_device_messages") == 0


async def test_letters_wait_for_a_first_sync_in_hundreds(alice: Client, bob: Client) -> None:
    for number in range(102):
        await send(alice, bob, {"number": number})
    assert letters(await bob.sync()) == list(range(100))
    assert letters(await bob.sync()) == [100, 101]


async def test_a_claimed_key_ends_the_long_poll_of_its_device(alice: Client, bob: Client) -> None:
    await publish(bob, one_time_keys=2)
    assert (await bob.sync())["device_one_time_keys_count"] == {"signed_curve25519": 2}
    body = {"one_time_keys": {bob.user_id: {bob.device_id: "signed_curve25519"}}}
    answer = await while_waiting(bob, alice.post("keys/claim", body))
    assert answer["device_one_time_keys_count"] == {"signed_curve25519": 1}
    assert answer["device_unused_fallback_key_types"] == []


async def test_other_peoples_new_keys_end_a_long_poll(alice: Client, bob: Client) -> None:
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    answer = await while_waiting(bob, publish(alice))
    assert answer["device_lists"]["changed"] == [alice.user_id]
    answer = await while_waiting(bob, bootstrap(alice))
    assert answer["device_lists"]["changed"] == [alice.user_id]


async def test_changes_between_two_syncs_can_be_asked_for(server: Server, alice: Client, bob: Client) -> None:
    mallory = await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    tokens: dict[str, str] = {}
    tokens["before"] = (await bob.sync())["next_batch"]
    await publish(alice)
    await publish(mallory)
    tokens["published"] = (await bob.sync())["next_batch"]
    await alice.leave(room_id)
    await publish(alice)
    tokens["left"] = (await bob.sync())["next_batch"]
    await alice.join(room_id)
    tokens["back"] = (await bob.sync())["next_batch"]
    assert await changes(bob, tokens["before"], tokens["published"]) == ([alice.user_id], [])
    assert await changes(bob, tokens["published"], tokens["published"]) == ([], [])
    assert await changes(bob, tokens["left"], tokens["back"]) == ([alice.user_id], [])
    await alice.leave(room_id)
    gone = (await bob.sync())["next_batch"]
    assert await changes(bob, tokens["back"], gone) == ([], [alice.user_id])
    assert await changes(bob, tokens["before"], gone) == ([], [alice.user_id])


@pytest.mark.parametrize("query", [{}, {"from": "s0"}, {"to": "s0"}, {"from": "x", "to": "y"}])
async def test_changes_need_two_tokens(alice: Client, query: dict[str, str]) -> None:
    await alice.get("keys/changes", expect=400, **query)


async def test_a_letter_to_a_waiting_sync_costs_one_statement(server: Server, alice: Client, bob: Client) -> None:
    database = server.application.base.database
    await bob.sync()
    await send(alice, bob, {"number": 0})
    await bob.sync()
    await server.application.encryption.to_device.flush()
    before = database.statements
    assert letters(await while_waiting(bob, send(alice, bob, {"number": 1}))) == [1]
    assert database.statements - before == 1


async def test_a_new_device_is_news_for_its_owner_and_whoever_shares_a_room(
    server: Server, alice: Client, bob: Client
) -> None:
    mallory = await server.register("mallory")
    await bob.join(await alice.create_room(preset="public_chat"))
    for each in (alice, bob, mallory):
        await each.sync()
    answer = await while_waiting(bob, alice.login(device_id="PHONE"))
    assert answer["device_lists"]["changed"] == [alice.user_id]
    assert (await alice.sync())["device_lists"]["changed"] == [alice.user_id]
    assert "device_lists" not in await mallory.sync()
    await alice.login(device_id="PHONE")
    assert "device_lists" not in await bob.sync()
