"""Stories about messages from device to device."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.cast import Client, Server
from tests.signers import password_auth

TYPE = "m.room.encrypted"


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


@pytest.fixture
async def bob(server: Server) -> Client:
    return await server.register("bob")


async def send(
    sender: Client, messages: dict[str, dict[str, Any]], txn_id: str = "", event_type: str = TYPE, **expected: Any
) -> None:
    path = ("sendToDevice", event_type, txn_id or next(sender.txn_ids))
    await sender.put(path, {"messages": messages}, **expected)


async def letters(server: Server, reader: Client, since: int = 0, limit: int = 100) -> list[dict[str, Any]]:
    """What waits for a device, as sync would hand it out."""
    source = server.application.encryption.to_device
    found = await source.pending(reader.user_id, reader.device_id, since, source.stream.current, limit)
    return [json.loads(event) for event in found.events]


async def stored(server: Server) -> int:
    count: int = await server.application.base.database.fetchval("SELECT count(*) FROM to_device_messages")
    return count


async def test_bob_gets_what_alice_sends_to_his_device(server: Server, alice: Client, bob: Client) -> None:
    other = await bob.login()
    await send(alice, {bob.user_id: {bob.device_id: {"body": "hello"}}})
    expected = {"type": TYPE, "sender": alice.user_id, "content": {"body": "hello"}}
    assert await letters(server, bob) == [expected]
    assert await letters(server, other) == []


async def test_a_star_is_every_device_and_a_name_goes_before_it(server: Server, alice: Client, bob: Client) -> None:
    other = await bob.login()
    await send(alice, {bob.user_id: {"*": {"to": "all"}, other.device_id: {"to": "other"}}})
    assert [letter["content"] for letter in await letters(server, bob)] == [{"to": "all"}]
    assert [letter["content"] for letter in await letters(server, other)] == [{"to": "other"}]


async def test_the_same_request_twice_is_one_message(server: Server, alice: Client, bob: Client) -> None:
    for _ in range(3):
        await send(alice, {bob.user_id: {"*": {}}}, "txn")
    assert len(await letters(server, bob)) == 1
    await send(alice, {bob.user_id: {"*": {}}}, "other txn")
    await send(alice, {bob.user_id: {"*": {}}}, "txn", "m.other")
    await send(await alice.login(), {bob.user_id: {"*": {}}}, "txn")
    await send(bob, {bob.user_id: {"*": {}}}, "txn")
    assert len(await letters(server, bob)) == 5


async def test_the_same_request_at_the_same_time_is_one_message(server: Server, alice: Client, bob: Client) -> None:
    await asyncio.gather(*(send(alice, {bob.user_id: {"*": {}}}, "txn") for _ in range(5)))
    assert len(await letters(server, bob)) == 1


async def test_who_does_not_exist_is_passed_over(server: Server, alice: Client, bob: Client) -> None:
    await send(alice, {"@nobody:test": {"*": {}}, bob.user_id: {"NOSUCHDEVICE": {}, bob.device_id: {}}})
    assert len(await letters(server, bob)) == 1
    assert await stored(server) == 1


async def test_messages_arrive_in_the_order_in_which_they_were_sent(server: Server, alice: Client, bob: Client) -> None:
    for number in range(130):
        await send(alice, {bob.user_id: {bob.device_id: {"number": number}}})
    source = server.application.encryption.to_device
    first = await source.pending(bob.user_id, bob.device_id, 0, source.stream.current, 100)
    second = await source.pending(bob.user_id, bob.device_id, first.up_to, source.stream.current, 100)
    numbers = [json.loads(event)["content"]["number"] for event in (*first.events, *second.events)]
    assert numbers == list(range(130))
    assert second.up_to == source.stream.current


async def test_what_was_read_is_deleted_in_one_statement_for_all(server: Server, alice: Client, bob: Client) -> None:
    source, database = server.application.encryption.to_device, server.application.base.database
    await send(alice, {bob.user_id: {"*": {}}, alice.user_id: {"*": {}}})
    for reader in (alice, bob):
        await letters(server, reader)
        await source.acknowledge(reader.user_id, reader.device_id, source.stream.current)
        assert await letters(server, reader) == []
    before = database.statements
    await source.flush()
    assert database.statements - before == 1
    assert await stored(server) == 0


async def test_an_empty_letterbox_asks_nothing_of_the_database(server: Server, alice: Client, bob: Client) -> None:
    source, database = server.application.encryption.to_device, server.application.base.database
    await send(alice, {})
    await letters(server, bob)
    await source.acknowledge(bob.user_id, bob.device_id, source.stream.current)
    await source.flush()
    before = database.statements
    for _ in range(5):
        assert await letters(server, bob) == []
        await source.acknowledge(bob.user_id, bob.device_id, source.stream.current)
        await source.flush()
    assert database.statements == before
    await send(alice, {bob.user_id: {"*": {}}})
    assert database.statements - before == 1
    assert len(await letters(server, bob)) == 1
    assert database.statements - before == 1


async def test_only_receivers_are_woken(server: Server, alice: Client, bob: Client) -> None:
    announcer = server.application.base.announcer
    waiting = {user.user_id: announcer.waiter(user.user_id) for user in (alice, bob)}
    await send(alice, {bob.user_id: {"*": {}}})
    assert waiting[bob.user_id].done()
    assert not waiting[alice.user_id].done()


async def test_messages_go_with_the_device(server: Server, alice: Client, bob: Client) -> None:
    await send(alice, {bob.user_id: {"*": {}}})
    await letters(server, bob)
    device_id = bob.device_id
    await bob.delete(("devices", device_id), {"auth": password_auth(bob)})
    again = await bob.login(device_id=device_id)
    assert await letters(server, again) == []
    assert await stored(server) == 0


async def test_messages_for_other_servers_wait_for_federation(server: Server, alice: Client) -> None:
    contents = {
        "@carol:elsewhere.example": {"X": {"n": 1}},
        "@dave:elsewhere.example": {"*": {"n": 2}},
        "@erin:third.example": {"Y": {"n": 3}},
    }
    for _ in range(2):
        await send(alice, contents, "txn")
    rows = await server.application.base.database.fetch(
        "SELECT destination, content FROM outbound_to_device ORDER BY destination"
    )
    assert [row["destination"] for row in rows] == ["elsewhere.example", "third.example"]
    first = json.loads(rows[0]["content"])
    assert len(first.pop("message_id")) == 32
    assert first == {
        "sender": alice.user_id,
        "type": TYPE,
        "messages": {user: contents[user] for user in ("@carol:elsewhere.example", "@dave:elsewhere.example")},
    }


@pytest.mark.parametrize(
    "messages",
    [None, [], {"@bob:test": []}, {"@bob:test": {"X": "text"}}, {"@bob:test": {"X": None}}, {"@bob:test": {"\0": {}}}],
)
async def test_messages_of_the_wrong_form_are_refused(alice: Client, messages: Any) -> None:
    await alice.put(("sendToDevice", TYPE, "txn"), {"messages": messages}, expect=(400, "M_BAD_JSON"))


@pytest.mark.parametrize(
    "messages", [{"bob": {"X": {}}}, {"@bob:test": {"x" * 300: {}}}, {"@bob:test": {str(n): {} for n in range(10_001)}}]
)
async def test_messages_to_nobody_are_refused(alice: Client, messages: Any) -> None:
    await send(alice, messages, expect=(400, "M_INVALID_PARAM"))


async def test_the_type_of_a_message_has_a_limited_length(alice: Client, bob: Client) -> None:
    await send(alice, {bob.user_id: {"*": {}}}, event_type="t" * 256, expect=(400, "M_INVALID_PARAM"))
    await alice.put(("sendToDevice", TYPE, "txn"), {}, expect=(400, "M_MISSING_PARAM"))
    await alice.anonymous().put(("sendToDevice", TYPE, "txn"), {"messages": {}}, expect=401)


async def test_a_hundred_receivers_are_one_statement(server: Server, alice: Client, bob: Client) -> None:
    devices = [await bob.login() for _ in range(20)]
    database = server.application.base.database
    await send(alice, {})
    costs = []
    for _ in range(3):  # the logins may still be told to other servers meanwhile
        before = database.statements
        await send(alice, {bob.user_id: {device.device_id: {"secret": device.device_id} for device in devices}})
        costs.append(database.statements - before)
    assert min(costs) == 1
    assert [letter["content"] for letter in await letters(server, devices[7])] == [{"secret": devices[7].device_id}] * 3
