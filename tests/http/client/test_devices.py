"""The devices that Alice is signed in with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Server


async def test_alice_sees_her_devices(server: Server) -> None:
    alice = await server.register("alice", device_id="LAPTOP", initial_device_display_name="Laptop")
    await alice.login(device_id="PHONE")
    devices = (await alice.get("devices"))["devices"]
    assert [device["device_id"] for device in devices] == ["LAPTOP", "PHONE"]
    assert devices[0]["display_name"] == "Laptop"
    assert devices[0]["last_seen_ip"] == "127.0.0.1"
    assert devices[0]["last_seen_ts"] == server.clock.now_ms()
    assert await alice.get("devices/LAPTOP") == devices[0]


async def test_alice_renames_a_device(server: Server) -> None:
    alice = await server.register("alice", device_id="LAPTOP")
    await alice.put("devices/LAPTOP", {"display_name": "Tea party"})
    await alice.put("devices/LAPTOP", {})
    assert (await alice.get("devices/LAPTOP"))["display_name"] == "Tea party"
    await alice.put("devices/LAPTOP", {"display_name": "x" * 257}, expect=(400, "M_INVALID_PARAM"))
    await alice.put("devices/LAPTOP", {"display_name": 1}, expect=(400, "M_BAD_JSON"))


@pytest.mark.parametrize("device_id", ["NOWHERE", "x" * 256, "ä"])
async def test_devices_that_are_not_there(server: Server, device_id: str) -> None:
    alice = await server.register("alice")
    await alice.get(("devices", device_id), expect=(404, "M_NOT_FOUND"))
    await alice.put(("devices", device_id), {"display_name": "x"}, expect=(404, "M_NOT_FOUND"))
    await alice.put(("devices", device_id), {}, expect=(404, "M_NOT_FOUND"))
    await alice.delete(("devices", device_id), {"auth": alice.password_auth()})


async def test_mallory_neither_sees_nor_deletes_alices_devices(server: Server) -> None:
    alice, mallory = await server.register("alice", device_id="LAPTOP"), await server.register("mallory")
    await mallory.get("devices/LAPTOP", expect=(404, "M_NOT_FOUND"))
    await mallory.delete("devices/LAPTOP", {"auth": mallory.password_auth()})
    await mallory.post("delete_devices", {"devices": ["LAPTOP"], "auth": mallory.password_auth()})
    await alice.get("devices/LAPTOP")


async def test_a_deleted_device_is_signed_out(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login(device_id="PHONE")
    await phone.get("account/whoami")
    required = await alice.delete("devices/PHONE", expect=401)
    await alice.delete("devices/PHONE", {"auth": alice.password_auth(session=required["session"])})
    await phone.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await alice.get("devices/PHONE", expect=404)


async def test_the_proof_for_one_device_deletes_no_other(server: Server) -> None:
    alice = await server.register("alice", device_id="LAPTOP")
    await alice.login(device_id="PHONE")
    session = (await alice.delete("devices/PHONE", expect=401))["session"]
    body = {"auth": alice.password_auth(session=session)}
    await alice.delete("devices/LAPTOP", body, expect=(403, "M_FORBIDDEN"))
    await alice.get("devices/LAPTOP")


async def test_many_devices_are_deleted_at_once(server: Server) -> None:
    alice = await server.register("alice", device_id="LAPTOP")
    phone, tablet = await alice.login(device_id="PHONE"), await alice.login(device_id="TABLET")
    deleted: list[str] = []

    async def hook(user_id: str, device_ids: Any) -> None:
        deleted.extend(device_ids)

    server.application.accounts.devices.hooks.deleted.append(hook)
    body = {"devices": ["PHONE", "TABLET", "NOWHERE", "PHONE"]}
    session = (await alice.post("delete_devices", body, expect=401))["session"]
    await alice.post("delete_devices", {**body, "auth": alice.password_auth(session=session)})
    assert sorted(deleted) == ["PHONE", "TABLET"]
    for client in (phone, tablet):
        await client.get("account/whoami", expect=401)


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"devices": "PHONE"}, "M_BAD_JSON"),
        ({"devices": [1]}, "M_BAD_JSON"),
        ({"devices": ["x"] * 1001}, "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_list_of_devices(server: Server, body: Any, errcode: str) -> None:
    alice = await server.register("alice")
    await alice.post("delete_devices", body, expect=(400, errcode))


async def test_what_was_seen_outlives_a_flush(server: Server) -> None:
    alice = await server.register("alice")
    await alice.get("account/whoami")
    server.clock.advance(seconds=30)
    await alice.get("devices")
    seen_ms = server.clock.now_ms()
    server.clock.advance(seconds=30)
    await server.application.accounts.devices.last_seen.flush()
    row = await server.application.base.database.fetchval(
        "SELECT last_seen_ms FROM devices WHERE device_id = $1", alice.device_id
    )
    assert row == seen_ms
