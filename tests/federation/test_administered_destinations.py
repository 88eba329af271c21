"""Ada, the administrator of alpha, looks at the servers that alpha knows."""

from __future__ import annotations

import pytest

from tests.cast import Client
from tests.federation.conftest import ALPHA, BETA, Home

DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
AUDIT = "/_voicechat/admin/v1/audit"


@pytest.fixture
async def ada(alpha: Home) -> Client:
    return await alpha.server.administrator()


async def test_a_server_is_listed_with_the_rooms_it_is_in(alpha: Home, beta: Home, ada: Client) -> None:
    assert await ada.get(DESTINATIONS) == {"destinations": [], "total": 0}
    await ada.get(f"{DESTINATIONS}/{BETA}", expect=(404, "M_NOT_FOUND"))
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    rooms = [await alice.create_room(preset="public_chat") for _ in range(2)]
    for room_id in rooms:
        await bob.post(("join", room_id), via=ALPHA)
    (shown,) = (await ada.get(DESTINATIONS))["destinations"]
    assert shown["destination"] == BETA
    assert (shown["retry_last_ts"], shown["retry_interval"], shown["failure_ts"]) == (0, 0, None)
    assert (await ada.get(f"{DESTINATIONS}/{BETA}"))["destination"] == BETA
    answer = await ada.get(f"{DESTINATIONS}/{BETA}/rooms")
    assert ([each["room_id"] for each in answer["rooms"]], answer["total"]) == (sorted(rooms), 2)
    last = await ada.get(f"{DESTINATIONS}/{BETA}/rooms", limit=1, dir="b")
    assert (last["rooms"][0]["room_id"], last["next_token"]) == (max(rooms), "1")
    await ada.post(f"{DESTINATIONS}/{BETA}/reset_connection", expect=(400, "M_UNKNOWN"))
    await ada.get(f"{DESTINATIONS}/{ALPHA}", expect=(404, "M_NOT_FOUND"))


async def test_a_server_that_fails_is_tried_again_when_ada_says_so(alpha: Home, ada: Client) -> None:
    pauses = alpha.server.application.federation.client.pauses
    now_ms = alpha.server.clock.now_ms()
    for name in ("gone.example", "away.example", "gone.example"):
        pauses.failed(name)
    gone = await ada.get(f"{DESTINATIONS}/gone.example")
    assert (gone["failure_ts"], gone["retry_interval"]) == (now_ms, pauses.initial_ms)
    assert abs(gone["retry_last_ts"] - now_ms) <= pauses.initial_ms * 0.2
    listed = [each["destination"] for each in (await ada.get(DESTINATIONS))["destinations"]]
    assert listed == ["away.example", "gone.example"]
    for order in ("destination", "retry_last_ts", "retry_interval", "failure_ts", "last_successful_stream_ordering"):
        assert (await ada.get(DESTINATIONS, order_by=order, dir="b", limit=1))["next_token"] == "1"
    assert await ada.post(f"{DESTINATIONS}/gone.example/reset_connection") == {}
    pauses.check("gone.example")
    assert (await ada.get(DESTINATIONS))["total"] == 1
    (entry,) = (await ada.get(AUDIT, action="destination"))["entries"]
    assert (entry["action"], entry["target"]) == ("destination.reset", "gone.example")
    await ada.get(DESTINATIONS, order_by="beauty", expect=(400, "M_INVALID_PARAM"))


async def test_only_administrators_may(alpha: Home) -> None:
    mallory = await alpha.server.register("mallory")
    for path in (DESTINATIONS, f"{DESTINATIONS}/x.example", f"{DESTINATIONS}/x.example/rooms"):
        await mallory.get(path, expect=(403, "M_FORBIDDEN"))
    await mallory.post(f"{DESTINATIONS}/x.example/reset_connection", expect=(403, "M_FORBIDDEN"))


async def test_strange_names_are_not_found(ada: Client) -> None:
    for name in ("x" * 5000, "ä.example", "a b", "%"):
        await ada.get(("", "_synapse", "admin", "v1", "federation", "destinations", name), expect=(404, "M_NOT_FOUND"))
