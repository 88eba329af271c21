"""Ada acts as Alice: nothing of that goes on when it has ended, or when Ada is no administrator any more."""

from __future__ import annotations

from tests.cast import Client, Server
from tests.http.admin.test_login_as import acting_as


async def test_she_is_not_notified_in_the_place_of_alice(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    puppet = await acting_as(ada, alice)
    pusher = {
        "kind": "http",
        "app_id": "org.example.ada",
        "pushkey": "adas",
        "app_display_name": "x",
        "device_display_name": "x",
        "lang": "en",
        "data": {"url": "https://push.example.org/_matrix/push/v1/notify"},
    }
    await puppet.post("pushers/set", pusher, expect=(403, "M_FORBIDDEN"))
    assert (await alice.get("pushers"))["pushers"] == []
    await alice.post("pushers/set", pusher)
    await puppet.post("pushers/set", {**pusher, "kind": None})
    assert (await alice.get("pushers"))["pushers"] == []


async def test_no_address_of_hers_becomes_one_of_alice(server: Server, ada: Client) -> None:
    puppet = await acting_as(ada, await server.register("alice"))
    creds = {"three_pid_creds": {"sid": "any", "client_secret": "any"}}
    refused = await puppet.post("account/3pid", creds, expect=(403, "M_FORBIDDEN"))
    assert "acts as somebody else" in refused["error"]
