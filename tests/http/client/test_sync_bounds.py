"""What Mallory, or a database that was restored, does to a sync and to the letters that wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeserver.services.sync import timelines
from homeserver.services.sync.engine import MAX_INITIAL_OF_USER, Sync
from homeserver.services.tokens import StreamToken
from tests.cast import Server

LETTER = ("sendToDevice", "m.room_key", "1")


async def test_a_token_from_after_a_restored_backup_takes_no_letters_for_read(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    now = StreamToken.parse((await bob.sync())["next_batch"])
    await alice.put(LETTER, {"messages": {bob.user_id: {bob.device_id: {"key": "secret"}}}})
    ahead = StreamToken(now.events, now.receipts, now.typing, now.presence, now.account_data, 10**17, now.device_lists)
    for _ in range(2):
        answer = await bob.sync(since=ahead.format())
        assert [letter["content"] for letter in answer.to_device()] == [{"key": "secret"}]
    await server.application.encryption.to_device.flush()
    assert len((await bob.sync(since=ahead.format())).to_device()) == 1
    assert (await bob.sync(since=answer["next_batch"])).to_device() == []


async def test_a_letter_is_no_larger_than_an_event(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    large = {"messages": {bob.user_id: {"*": {"text": "x" * 66_000}}}}
    await alice.put(LETTER, large, expect=(413, "M_TOO_LARGE"))
    large["messages"][bob.user_id]["*"]["text"] = "x" * 60_000
    await alice.put(LETTER, large)


async def test_few_initial_syncs_of_one_user_run_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    mallory, alice = await server.register("mallory"), await server.register("alice")
    go_on = asyncio.Event()
    make = Sync._make

    async def slow(self: Sync, *args: Any) -> Any:
        await go_on.wait()
        return await make(self, *args)

    monkeypatch.setattr(Sync, "_make", slow)
    running = [
        asyncio.create_task(mallory.sync(filter=f'{{"room":{{"timeline":{{"limit":{limit}}}}}}}'))
        for limit in range(MAX_INITIAL_OF_USER)
    ]
    while server.application.sync.sync.memory_usage()["initial"] < MAX_INITIAL_OF_USER:
        await asyncio.sleep(0.01)
    await mallory.get("sync", expect=(429, "M_LIMIT_EXCEEDED"))
    # The same one again waits for the first, and others are not held up by Mallory.
    running += [asyncio.create_task(mallory.sync(filter='{"room":{"timeline":{"limit":0}}}'))]
    running += [asyncio.create_task(alice.sync())]
    await asyncio.sleep(0.05)
    go_on.set()
    assert len(await asyncio.gather(*running)) == MAX_INITIAL_OF_USER + 2


async def test_very_many_rooms_have_shorter_timelines(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "MAX_ROWS", 6)
    mallory = await server.register("mallory")
    rooms = [await mallory.create_room() for _ in range(3)]
    for room_id in rooms:
        for _ in range(3):
            await mallory.send(room_id, "hello")
    cache = server.application.base.cache
    cache.retire(await cache.get(rooms[0]))
    answer = await mallory.sync(since=None, filter='{"room":{"timeline":{"limit":100}}}')
    for room_id in rooms:
        room = answer.room(room_id)
        assert (len(room["timeline"]["events"]), room["timeline"]["limited"]) == (2, True)
        older = await mallory.messages(room_id, dir="b", limit=1, **{"from": room["timeline"]["prev_batch"]})
        assert older["chunk"][0]["content"]["body"] == "hello"
