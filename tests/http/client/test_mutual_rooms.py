"""Alice asks which rooms she has in common with Bob."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.services import mutual_rooms
from tests.cast import Client, Server

UNSTABLE = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"
STABLE = "/_matrix/client/v1/mutual_rooms"


async def shared(client: Client, other: str, **query: Any) -> Any:
    return await client.get(STABLE, user_id=other, **query)


async def test_only_rooms_that_both_are_in_now(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    both, left, invited = [await alice.create_room(preset="public_chat") for _ in range(3)]
    await alice.create_room(preset="public_chat")
    await bob.create_room(preset="public_chat")
    assert await shared(alice, bob.user_id) == {"joined": [], "count": 0}
    for room in (both, left):
        await bob.join(room)
    await alice.invite(invited, bob)
    await bob.leave(left)
    assert await shared(alice, bob.user_id) == {"joined": [both], "count": 1}
    assert await shared(bob, alice.user_id) == {"joined": [both], "count": 1}
    assert await alice.get(UNSTABLE, user_id=bob.user_id) == {"joined": [both], "count": 1}
    assert await shared(alice, "@nobody:elsewhere.example") == {"joined": [], "count": 0}


async def test_pages(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutual_rooms, "MAX_ROOMS", 2)
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = [await alice.create_room(preset="public_chat") for _ in range(5)]
    for room in rooms:
        await bob.join(room)
    for path, ask, told in ((STABLE, "from", "next_batch"), (UNSTABLE, "batch_token", "next_batch_token")):
        found, token, sizes = [], None, []
        for _ in range(3):
            page = await alice.get(path, user_id=bob.user_id, **({ask: token} if token else {}))
            assert page["count"] == 5
            found += page["joined"]
            sizes.append(len(page["joined"]))
            token = page.get(told)
        assert (sorted(found), sizes, token) == (sorted(rooms), [2, 2, 1], None)
    token = (await shared(alice, bob.user_id))["next_batch"]
    for bad in ("x", "", "m" + "0" * 16 + rooms[0], token + "!" * 300):
        await alice.get(STABLE, user_id=bob.user_id, expect=(400, "M_INVALID_PARAM"), **{"from": bad})
    await alice.get(STABLE, user_id="@carol:test", expect=(400, "M_INVALID_PARAM"), **{"from": token})
    await bob.get(STABLE, user_id=alice.user_id, expect=(400, "M_INVALID_PARAM"), **{"from": token})


async def test_what_is_no_question(server: Server) -> None:
    alice = await server.register("alice")
    for user_id in (alice.user_id, "alice", "@:test", "@ä:test", "", "@alice"):
        await alice.get(STABLE, user_id=user_id, expect=(400, "M_INVALID_PARAM"))
    await alice.get(STABLE, expect=(400, "M_MISSING_PARAM"))
    await server.anonymous().get(STABLE, user_id="@bob:test", expect=(401, "M_MISSING_TOKEN"))
    flags = (await alice.get("/_matrix/client/versions"))["unstable_features"]
    assert flags["uk.half-shot.msc2666.query_mutual_rooms"]
    assert flags["uk.half-shot.msc2666.query_mutual_rooms.stable"]
