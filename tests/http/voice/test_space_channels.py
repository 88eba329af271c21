"""A space tells who is in its voice channels: to those who may know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.voice.recording_backend import RecordingBackend
from tests.voice.seats import channels, sit


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def space(owner: Client, *children: str, **more: Any) -> str:
    room_id = await owner.create_room(preset="public_chat", creation_content={"type": "m.space"}, **more)
    for child in children:
        await owner.set_state(room_id, "m.space.child", {"via": ["test"]}, child)
    return room_id


async def channel(owner: Client, **more: Any) -> str:
    body = {"preset": "public_chat", "creation_content": {"type": "org.matrix.msc3417.call"}, **more}
    return await owner.create_room(**body)


async def told(server: Server, client: Client, space_id: str, reached: Callable[[Any], bool]) -> Any:
    """The channels of a space by the first sync that satisfies `reached`, while time goes by."""
    for _ in range(40):
        answer = channels(await client.sync(), space_id)
        if answer is not None and reached(answer):
            return answer
        server.clock.advance(ms=500)
        await asyncio.sleep(0.01)
    raise AssertionError("the sync that the story waits for did not come")


async def read(client: Client, space_id: str, **more: Any) -> Any:
    return await client.get(f"/_voicechat/client/v1/spaces/{space_id}/voice", **more)


async def test_bob_sees_in_the_space_who_is_where(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    lounge, games = await channel(alice), await channel(alice)
    home = await space(alice, lounge, games)
    await bob.join(home)
    await bob.sync()
    caller = await sit(alice, lounge, sfu)
    expected = {lounge: {"count": 1, "users": [alice.user_id]}}
    assert await told(server, bob, home, bool) == expected
    assert channels(await bob.sync(since=None), home) == {lounge: {"count": 1, "users": [alice.user_id]}}
    assert (await read(bob, home))["channels"] == {lounge: {"count": 1, "users": [alice.user_id]}}

    caller.change(speaking=True)
    clock.advance(seconds=1)
    assert channels(await bob.sync(), home) is None  # talk is no news of a space

    caller.leave()
    await told(server, bob, home, lambda answer: answer == {})


async def test_channels_that_bob_may_not_see_stay_hidden(server: Server, sfu: RecordingBackend) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    secret = await channel(alice, preset="private_chat")
    home = await space(alice, secret)
    staff = await channel(alice, preset="private_chat")
    allow = [{"type": "m.room_membership", "room_id": home}]
    await alice.set_state(staff, "m.room.join_rules", {"join_rule": "restricted", "allow": allow})
    await alice.set_state(home, "m.space.child", {"via": ["test"]}, staff)
    await bob.join(home)
    await bob.sync()
    await alice.sync()
    await sit(alice, secret, sfu)
    await sit(alice, staff, sfu)
    assert set(await told(server, alice, home, lambda answer: len(answer) == 2)) == {secret, staff}
    assert set(await told(server, bob, home, bool)) == {staff}  # "Restricted": members of the space may join
    assert secret not in str(await read(bob, home))


@pytest.mark.parametrize("rule", ["restricted", "public"])
async def test_mallory_is_banned_from_a_channel_and_does_not_see_who_is_in_it(
    server: Server, sfu: RecordingBackend, rule: str
) -> None:
    """However open it is to the other members of the space; also when she forgets the room."""
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    lounge = await channel(alice)
    home = await space(alice, lounge)
    allow = [{"type": "m.room_membership", "room_id": home}]
    await alice.set_state(lounge, "m.room.join_rules", {"join_rule": rule, "allow": allow})
    await bob.join(home)
    await mallory.join(home)
    await alice.ban(lounge, mallory)
    await sit(alice, lounge, sfu)
    assert set(await told(server, bob, home, bool)) == {lounge}
    for _ in range(2):
        assert channels(await mallory.sync(), home) is None
        assert channels(await mallory.sync(since=None), home) is None
        assert (await read(mallory, home))["channels"] == {}
        await mallory.post(("rooms", lounge, "forget"))


async def test_spaces_within_spaces_count_as_far_as_bob_can_look(server: Server, sfu: RecordingBackend) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    lounge, den = await channel(alice), await channel(alice)
    floor = await space(alice, lounge)
    hidden = await space(alice, den)
    await alice.set_state(hidden, "m.room.join_rules", {"join_rule": "invite"})
    home = await space(alice, floor, hidden)
    await bob.join(home)
    await bob.sync()
    await sit(alice, den, sfu)
    await sit(alice, lounge, sfu)
    assert set(await told(server, bob, home, bool)) == {
        lounge
    }  # the way to the den leads through a space he does not know
    assert set((await read(alice, home))["channels"]) == {lounge, den}


async def test_a_channel_is_taken_out_of_the_space(server: Server, sfu: RecordingBackend) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    lounge, games = await channel(alice), await channel(alice)
    home = await space(alice, lounge)
    await bob.join(home)
    await sit(alice, lounge, sfu)
    await told(server, bob, home, bool)
    await sit(alice, games, sfu)
    await alice.set_state(home, "m.space.child", {"via": ["test"]}, games)
    await told(server, bob, home, lambda answer: games in answer)
    await alice.set_state(home, "m.space.child", {}, lounge)
    await bob.sync()
    for _ in range(50):
        server.clock.advance(seconds=1)
        if lounge not in (await read(bob, home))["channels"]:
            break
    assert set((await read(bob, home))["channels"]) == {games}


async def test_mallory_learns_nothing_of_a_space_she_is_not_in(server: Server, sfu: RecordingBackend) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    lounge = await channel(alice)
    home = await space(alice, lounge)
    await sit(alice, lounge, sfu)
    await read(mallory, home, expect=(403, "M_FORBIDDEN"))
    await read(mallory, "!nowhere:test", expect=(403, "M_FORBIDDEN"))
    await read(server.anonymous(), home, expect=401)
    # Linking the channel from a space of her own shows her what is public anyway, and no more.
    await alice.set_state(lounge, "m.room.join_rules", {"join_rule": "invite"})
    mine = await space(mallory, lounge)
    for _ in range(5):
        server.clock.advance(seconds=1)
        assert (await read(mallory, mine))["channels"] == {}


async def test_a_wake_up_asks_the_database_nothing(server: Server, sfu: RecordingBackend) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    lounge = await channel(alice)
    home = await space(alice, lounge)
    await bob.join(home)
    caller = await sit(alice, lounge, sfu)
    await told(server, bob, home, bool)
    server.clock.advance(seconds=1)
    before = server.application.base.database.statements
    caller.leave()
    await told(server, bob, home, lambda answer: answer == {})
    assert (
        server.application.base.database.statements - before <= 2
    )  # who of Alice's memberships to end: not Bob's sync
