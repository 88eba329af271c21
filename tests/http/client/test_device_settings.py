"""Alice's phone is silent, until she has no phone any more."""

from __future__ import annotations

import pytest

from tests.cast import Server

PREFIXES = ["m.local_notification_settings.", "org.matrix.msc3890.local_notification_settings."]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_what_is_silent_on_a_device_is_forgotten_with_it(server: Server, prefix: str) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    for device in (alice, phone):
        await alice.put(("user", alice.user_id, "account_data", prefix + device.device_id), {"is_silenced": True})
    await alice.sync()
    await phone.post("logout")
    news = await alice.sync()
    assert news.account_data(prefix + phone.device_id) == {}
    assert news.account_data(prefix + alice.device_id) is None
    await alice.get(("user", alice.user_id, "account_data", prefix + phone.device_id), expect=404)
    kept = await alice.get(("user", alice.user_id, "account_data", prefix + alice.device_id))
    assert kept == {"is_silenced": True}


async def test_devices_without_settings_tell_nothing(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    await alice.sync()
    await phone.post("logout")
    assert (await alice.sync()).get("account_data", {}).get("events", []) == []
