"""The server is started anew: whoever goes on from his old token misses nothing.

A position may be handed out, and be part of tokens, for something that was not written in the end: the same keys once
more, a receipt that goes back, an invitation that is known already. It must not be given to the news of the next start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from config.settings import Settings
from homeserver.storage.positions import StreamPosition
from tests.cast import Client, Server, SyncAnswer
from tests.clock import FakeClock
from tests.homeserver import running_homeserver
from tests.signers import device_of

IsTold = Callable[[SyncAnswer], object]
Change = Callable[[Client, Client, str], Awaitable[IsTold]]
"""By Alice or for Bob, in a room that they share; returns whether a sync of his tells of it."""


async def say_something(alice: Client, bob: Client, room_id: str) -> IsTold:
    event_id = await alice.send(room_id, "news")
    return lambda answer: event_id in answer.event_ids(room_id)


async def log_in_elsewhere(alice: Client, bob: Client, room_id: str) -> IsTold:
    await alice.login()
    return lambda answer: alice.user_id in answer.get("device_lists", {}).get("changed", [])


async def read_on(alice: Client, bob: Client, room_id: str) -> IsTold:
    event_id = (await alice.messages(room_id, dir="b", limit=1))["chunk"][0]["event_id"]
    await alice.post(("rooms", room_id, "receipt", "m.read", event_id), {})
    return lambda answer: any(event_id in content for content in answer.ephemeral(room_id, "m.receipt"))


async def set_account_data(alice: Client, bob: Client, room_id: str) -> IsTold:
    await bob.put(("user", bob.user_id, "account_data", "org.example.note"), {"text": "news"})
    return lambda answer: answer.account_data("org.example.note") == {"text": "news"}


async def write_to_device(alice: Client, bob: Client, room_id: str) -> IsTold:
    messages = {bob.user_id: {bob.device_id: {"text": "news"}}}
    await alice.put("sendToDevice/org.example.whisper/1", {"messages": messages})
    return lambda answer: answer.to_device("org.example.whisper")


STREAMS: dict[str, tuple[Callable[[Server], StreamPosition], Change]] = {
    "events": (lambda server: server.application.kernel.writer.position, say_something),
    "device_lists": (lambda server: server.application.encryption.device_lists.stream, log_in_elsewhere),
    "receipts": (lambda server: server.application.readers.receipts.stream, read_on),
    "account_data": (lambda server: server.application.readers.account_data_stream.position, set_account_data),
    "to_device": (lambda server: server.application.encryption.to_device.stream, write_to_device),
}


def hand_out_for_nothing(stream: StreamPosition) -> None:
    stream.finish(stream.reserve(5))


@pytest.mark.parametrize("name", STREAMS)
async def test_news_after_a_restart_reach_whoever_was_told_of_positions_without_any(
    settings: Settings, database_dsn: str, clock: FakeClock, name: str
) -> None:
    position_of, change = STREAMS[name]
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob = await server.register("alice"), await server.register("bob")
        room_id = await alice.create_room(preset="public_chat")
        await bob.join(room_id)
        hand_out_for_nothing(position_of(server))
        await bob.sync()
        assert bob.next_batch is not None

    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob = (
            replace(each, session=server.session, base_url=server.base_url, txn_ids=iter(["after"]))
            for each in (alice, bob)
        )
        is_told = await change(alice, bob, room_id)
        hand_out_for_nothing(position_of(server))
        answer = await bob.sync()
        assert is_told(answer), f"Bob goes on from {bob.next_batch} and misses what is new: {answer}"


async def test_keys_that_are_uploaded_twice_do_not_hide_the_next_device(
    settings: Settings, database_dsn: str, clock: FakeClock
) -> None:
    """As two homeservers met it: Bob was told of a position at which nothing of Alice's had changed."""
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
        await bob.join(await alice.create_room(preset="public_chat"))
        keys = device_of(alice).device_keys()
        for _ in range(3):
            await alice.post("keys/upload", {"device_keys": keys})
        await bob.sync()

    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob, carol = (
            replace(each, session=server.session, base_url=server.base_url) for each in (alice, bob, carol)
        )
        await alice.login()
        for _ in range(5):
            await carol.login()
        answer = await bob.sync()
        assert answer["device_lists"]["changed"] == [alice.user_id]
