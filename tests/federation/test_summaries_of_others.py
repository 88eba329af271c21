"""Summaries of rooms that this server is not in."""

from __future__ import annotations

from typing import Any

from config.settings import RateLimitSettings
from tests.cast import Client, Expected
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.peers import Peer


async def summary(client: Client, room: str, *via: str, expect: Expected = 200) -> Any:
    path = ["", "_matrix", "client", "v1", "room_summary", room]
    return await client.get(path, via=list(via), expect=expect)


async def test_a_room_to_knock_at(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await alice.create_room(name="Door", initial_state=[rules], room_alias_name="door")
    told = await summary(bob, room_id, ALPHA)
    assert (told["name"], told["join_rule"], told["membership"]) == ("Door", "knock", "leave")
    assert (told["num_joined_members"], told["room_version"]) == (1, "12")
    # The alias names the servers by itself, and strangers may ask too.
    assert await summary(bob, f"#door:{ALPHA}") == told
    assert "membership" not in await summary(beta.server.anonymous(), f"#door:{ALPHA}")
    await bob.post(("knock", room_id), server_name=ALPHA, via=ALPHA)
    assert (await summary(bob, room_id, ALPHA))["membership"] == "knock"


async def test_what_the_other_server_does_not_tell(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="private_chat", name="Secret")
    await summary(bob, room_id, ALPHA, "nobody.example", expect=(404, "M_NOT_FOUND"))
    await summary(bob, f"#nothing:{ALPHA}", expect=(404, "M_NOT_FOUND"))
    await summary(bob, "#nothing:nobody.example", expect=(404, "M_NOT_FOUND"))
    await alice.invite(room_id, bob.user_id)
    assert (await summary(bob, room_id, ALPHA))["membership"] == "invite"
    # An invite is for one person: another of his server is told nothing.
    carol = await beta.server.register("carol")
    await summary(carol, room_id, ALPHA, expect=(404, "M_NOT_FOUND"))
    # Nobody answers, and Bob's invite came with the name.
    told = await summary(bob, room_id, "nobody.example")
    assert (told["name"], told["membership"]) == ("Secret", "invite")


async def test_an_older_server_says_it_otherwise(beta: Home, peer: Peer) -> None:
    bob = await beta.server.register("bob")
    old = {"im.nheko.summary.version": "10", "im.nheko.summary.encryption": "m.megolm.v1.aes-sha2"}
    room = {"room_id": "!r:peer.example", "join_rule": "knock", "num_joined_members": 3, **old}
    peer.says("/_matrix/federation/v1/hierarchy/!r:peer.example", {"room": room, "children": []})
    told = await summary(bob, "!r:peer.example")
    assert (told["room_version"], told["encryption"], told["join_rule"]) == ("10", "m.megolm.v1.aes-sha2", "knock")


async def test_a_server_that_talks_nonsense(beta: Home, peer: Peer) -> None:
    bob = await beta.server.register("bob")
    for number, answer in enumerate(([], {"room": 1}, {"room": {"room_id": "!other:peer.example"}}, {"room": {}})):
        peer.says(f"/_matrix/federation/v1/hierarchy/!r{number}:peer.example", answer)
        await summary(bob, f"!r{number}:peer.example", expect=(404, "M_NOT_FOUND"))


async def test_strangers_have_us_ask_others_only_now_and_then(world: World) -> None:
    async with running_home(ALPHA, 1, world, rate_limits=RateLimitSettings(enabled=True)) as alpha:
        stranger, alice = alpha.server.anonymous(), await alpha.server.register("alice")
        for number in range(30):
            await summary(stranger, f"!r{number}:nobody.example", expect=(404, "M_NOT_FOUND"))
        await summary(stranger, "!r:nobody.example", expect=(429, "M_LIMIT_EXCEEDED"))
        await summary(alice, "!r:nobody.example", expect=(404, "M_NOT_FOUND"))
