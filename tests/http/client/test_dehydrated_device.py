"""Stories about the device that sleeps on the server (MSC3814)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server
from tests.signers import DeviceSigner, publish

BASE = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
DATA = {"algorithm": "org.matrix.msc3814.v2", "device_pickle": "sealed", "nonce": "n"}


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


@pytest.fixture
async def bob(server: Server) -> Client:
    return await server.register("bob")


def sleeper(client: Client, name: str = "SLEEPER", **changes: Any) -> dict[str, Any]:
    device = DeviceSigner(client.user_id, name)
    return {
        "device_id": name,
        "device_data": DATA,
        "device_keys": device.device_keys(dehydrated=True),
        "one_time_keys": device.one_time_keys(2),
        "fallback_keys": {"signed_curve25519:F": device.one_time_key(9, fallback=True)},
        "initial_device_display_name": "Asleep",
        **changes,
    }


async def devices(client: Client, of: Client) -> dict[str, Any]:
    found = await client.post("keys/query", {"device_keys": {of.user_id: []}})
    keys: dict[str, Any] = found["device_keys"][of.user_id]
    return keys


async def send(sender: Client, receiver: Client, device_id: str, content: Any) -> None:
    path = ("sendToDevice", "m.room.encrypted", next(sender.txn_ids))
    await sender.put(path, {"messages": {receiver.user_id: {device_id: content}}})


async def test_alice_leaves_a_device_and_bob_sends_it_keys(alice: Client, bob: Client) -> None:
    await alice.get(BASE, expect=(404, "M_NOT_FOUND"))
    body = sleeper(alice)
    assert await alice.put(BASE, body) == {"device_id": "SLEEPER"}
    assert await alice.get(BASE) == {"device_id": "SLEEPER", "device_data": DATA}
    assert (await devices(bob, alice))["SLEEPER"]["keys"] == body["device_keys"]["keys"]
    claimed = await bob.post("keys/claim", {"one_time_keys": {alice.user_id: {"SLEEPER": "signed_curve25519"}}})
    assert list(claimed["one_time_keys"][alice.user_id]["SLEEPER"]) == ["signed_curve25519:AAA0000"]

    for number in range(5):
        await send(bob, alice, "SLEEPER", {"number": number})
    seen, token = [], None
    while True:
        body = {} if token is None else {"next_batch": token}
        answer = await alice.post(f"{BASE}/SLEEPER/events?limit=2", body)
        token = answer["next_batch"]
        if not answer["events"]:
            break
        seen += [event["content"]["number"] for event in answer["events"]]
    assert seen == [0, 1, 2, 3, 4]


async def test_whoever_is_interrupted_begins_again(alice: Client, bob: Client) -> None:
    await alice.put(BASE, sleeper(alice))
    await send(bob, alice, "SLEEPER", {})
    first = await alice.post(f"{BASE}/SLEEPER/events")
    assert (await alice.post(f"{BASE}/SLEEPER/events", {"next_batch": first["next_batch"]}))["events"] == []
    assert await alice.post(f"{BASE}/SLEEPER/events") == first


async def test_a_second_device_replaces_the_first(server: Server, alice: Client, bob: Client) -> None:
    lists = server.application.encryption.device_lists
    await alice.put(BASE, sleeper(alice))
    await send(bob, alice, "SLEEPER", {})
    start = lists.stream.current
    await alice.put(BASE, sleeper(alice, "SECOND"))
    assert await lists.changed(alice.user_id, start) == {alice.user_id}
    assert set(await devices(bob, alice)) == {"SECOND"}
    await alice.post(f"{BASE}/SLEEPER/events", expect=(404, "M_NOT_FOUND"))
    assert (await alice.post(f"{BASE}/SECOND/events"))["events"] == []
    await alice.put(BASE, sleeper(alice, "SECOND"))
    assert set(await devices(bob, alice)) == {"SECOND"}
    assert {device["device_id"] for device in (await alice.get("devices"))["devices"]} == {alice.device_id, "SECOND"}


async def test_a_deleted_device_is_gone(alice: Client, bob: Client) -> None:
    await alice.put(BASE, sleeper(alice))
    assert await alice.delete(BASE) == {"device_id": "SLEEPER"}
    await alice.delete(BASE, expect=(404, "M_NOT_FOUND"))
    await alice.get(BASE, expect=(404, "M_NOT_FOUND"))
    assert await devices(bob, alice) == {}


async def test_a_device_that_is_awake_cannot_be_replaced(alice: Client, bob: Client) -> None:
    device = await publish(alice)
    await alice.put(BASE, sleeper(alice, alice.device_id), expect=(400, "M_INVALID_PARAM"))
    assert (await devices(bob, alice))[alice.device_id]["keys"] == device.device_keys()["keys"]
    await alice.get(BASE, expect=(404, "M_NOT_FOUND"))


async def test_a_refused_device_leaves_the_first_one_asleep(alice: Client, bob: Client) -> None:
    await alice.put(BASE, sleeper(alice))
    await alice.put(BASE, sleeper(alice, "X", one_time_keys={"bad": 1}), expect=400)
    await alice.put(BASE, sleeper(alice, alice.device_id), expect=400)
    assert (await alice.get(BASE))["device_id"] == "SLEEPER"
    assert set(await devices(bob, alice)) == {"SLEEPER"}


@pytest.mark.parametrize(
    "changes",
    [
        {"device_id": ""},
        {"device_id": 5},
        {"device_id": "OTHER"},
        {"device_data": {}},
        {"device_data": {"algorithm": 5}},
        {"device_data": {"algorithm": "x", "pickle": "x" * 300_000}},
        {"device_keys": {}},
        {"device_keys": None},
        {"initial_device_display_name": "x" * 300},
    ],
)
async def test_what_is_no_device_is_refused(alice: Client, changes: dict[str, Any]) -> None:
    await alice.put(BASE, sleeper(alice, **changes), expect=400)
    await alice.get(BASE, expect=(404, "M_NOT_FOUND"))


async def test_mallory_reads_nothing_of_alices(server: Server, alice: Client) -> None:
    mallory = await server.register("mallory")
    await alice.put(BASE, sleeper(alice))
    await mallory.post(f"{BASE}/SLEEPER/events", expect=(404, "M_NOT_FOUND"))
    await mallory.put(BASE, sleeper(mallory))
    await send(alice, alice, "SLEEPER", {"secret": True})
    assert (await mallory.post(f"{BASE}/SLEEPER/events"))["events"] == []


async def test_tokens_that_are_none(alice: Client) -> None:
    await alice.put(BASE, sleeper(alice))
    for token in ("s1", "d", "d-1", "d" + "9" * 30):
        await alice.post(f"{BASE}/SLEEPER/events", {"next_batch": token}, expect=(400, "M_INVALID_PARAM"))
