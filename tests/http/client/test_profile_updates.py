"""Bob hears what Alice writes into her profile, in both kinds of sync (MSC4262, MSC4429)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeserver.services.profiles import updates
from homeserver.services.profiles.updates import ProfileUpdates
from homeserver.storage import profiles
from homeserver.storage.recent import RecentChanges
from tests.cast import Client, Server

STATUS, TZ = "org.example.status", "m.tz"
USERS = "org.matrix.msc4429.users"
PROFILES = "org.matrix.msc4262.profiles"
SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
FILTER = '{"org.matrix.msc4429.profile_fields":{"ids":["org.example.status","m.tz"]}}'
LIST = {"ranges": [[0, 99]], "required_state": [], "timeline_limit": 1}


async def say(user: Client, key: str, value: Any) -> None:
    await user.put(("profile", user.user_id, key), {key: value})


async def take_away(user: Client, key: str) -> None:
    await user.delete(("profile", user.user_id, key))


async def sharing(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    return alice, bob, room_id


async def told(reader: Client, **query: Any) -> dict[str, Any]:
    """What /sync says of profiles."""
    users = (await reader.sync(filter=FILTER, **query)).get(USERS, {})
    return {user_id: user["profile_updates"] for user_id, user in users.items()}


class Sliding:
    """A connection with the extension."""

    def __init__(self, reader: Client, **config: Any) -> None:
        self.reader, self.config, self.pos = reader, config, None

    async def __call__(self, timeout: int = 0, **changes: Any) -> dict[str, Any]:
        self.config |= changes
        body = {"lists": {"all": LIST}, "extensions": {PROFILES: {"enabled": True, **self.config}}}
        answer = await self.reader.post(SLIDING, body, pos=self.pos, timeout=timeout)
        self.pos = answer["pos"]
        users: dict[str, Any] = answer["extensions"].get(PROFILES, {}).get("users", {})
        return users


async def test_bob_hears_what_alice_says_and_takes_back(server: Server) -> None:
    alice, bob, _ = await sharing(server)
    await say(alice, STATUS, {"text": "swimming"})
    assert await told(bob, since=None) == {alice.user_id: {STATUS: {"text": "swimming"}}}
    assert await told(bob) == {}
    await say(alice, STATUS, {"text": "dry"})
    await say(alice, TZ, "Europe/Berlin")
    assert await told(bob) == {alice.user_id: {STATUS: {"text": "dry"}, TZ: "Europe/Berlin"}}
    await take_away(alice, STATUS)
    assert await told(bob) == {alice.user_id: {STATUS: None}}
    assert await told(bob) == {}


async def test_only_what_is_asked_for_is_told(server: Server) -> None:
    alice, bob, _ = await sharing(server)
    assert USERS not in await bob.sync(since=None)
    await say(alice, "org.example.other", 1)
    await say(alice, "displayname", "Alice!")
    assert await told(bob) == {}
    await say(alice, STATUS, "x")
    assert USERS not in await bob.sync()


async def test_ones_own_other_devices_hear_of_it(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    await phone.sync()
    await say(alice, STATUS, "x")
    assert await told(phone) == {alice.user_id: {STATUS: "x"}}


async def test_strangers_hear_nothing_until_they_meet(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    sliding = Sliding(mallory, fields=[STATUS])
    await sliding()
    await told(mallory)
    await say(alice, STATUS, "swimming")
    assert await told(mallory) == {}
    assert await sliding() == {}
    room_id = await mallory.create_room(preset="public_chat")
    await told(mallory)
    await sliding()
    await alice.join(room_id)
    assert await told(mallory) == {alice.user_id: {STATUS: "swimming"}}
    await alice.leave(room_id)
    await told(mallory)
    await say(alice, STATUS, "alone")
    assert await told(mallory) == {}
    assert await sliding() == {}


async def test_a_waiting_sync_ends(server: Server) -> None:
    alice, bob, _ = await sharing(server)
    sliding = Sliding(bob, fields=[STATUS])
    await sliding()
    await bob.sync(filter=FILTER)
    await sliding()
    waiting = server.application.base.announcer.waiting
    polls = asyncio.gather(told(bob, timeout=30_000), sliding(timeout=30_000))
    while server.application.base.announcer.waiting < waiting + 2:
        await asyncio.sleep(0.001)
    await say(alice, STATUS, "x")
    first, second = await asyncio.wait_for(polls, 5)
    assert first == {alice.user_id: {STATUS: "x"}}
    assert second == {alice.user_id: {"updated": {STATUS: "x"}}}


async def test_sliding_sync_tells_whole_profiles_first_and_then_changes(server: Server) -> None:
    alice, bob, _ = await sharing(server)
    await say(alice, STATUS, "x")
    sliding = Sliding(bob)
    assert await sliding() == {
        alice.user_id: {"updated": {"displayname": "alice", STATUS: "x"}},
        bob.user_id: {"updated": {"displayname": "bob"}},
    }
    assert await sliding() == {}
    await take_away(alice, STATUS)
    await say(alice, TZ, "UTC")
    assert await sliding() == {alice.user_id: {"updated": {TZ: "UTC"}, "removed": [STATUS]}}
    # A client that did not get the answer asks once more.
    await say(bob, TZ, "UTC")
    pos = sliding.pos
    assert await sliding() == {bob.user_id: {"updated": {TZ: "UTC"}}}
    sliding.pos = pos
    assert await sliding() == {bob.user_id: {"updated": {TZ: "UTC"}}}


async def test_who_asks_for_more_fields_gets_them(server: Server) -> None:
    alice, bob, _ = await sharing(server)
    await say(alice, STATUS, "x")
    await say(alice, TZ, "UTC")
    sliding = Sliding(bob, fields=[STATUS])
    assert await sliding() == {alice.user_id: {"updated": {STATUS: "x"}}}
    assert await sliding(fields=[STATUS, TZ]) == {alice.user_id: {"updated": {STATUS: "x", TZ: "UTC"}}}
    assert await sliding(fields=[TZ]) == {}
    assert await sliding(rooms=[], lists=[]) == {}


async def test_what_memory_has_forgotten_is_in_the_database(server: Server) -> None:
    alice, bob, _ = await sharing(server)
    await told(bob)
    await say(alice, STATUS, "x")
    await say(alice, TZ, "UTC")
    await take_away(alice, TZ)
    updates: ProfileUpdates = server.application.accounts.profiles.updates
    updates.recent = RecentChanges(complete_after=updates.stream.position.current)
    assert await told(bob) == {alice.user_id: {STATUS: "x", TZ: None}}


async def test_without_changes_nothing_is_asked(server: Server) -> None:
    alice, bob, room_id = await sharing(server)
    await told(bob)
    await bob.sync()
    await alice.send(room_id, "x")
    before = server.application.base.database.statements
    await bob.sync()
    plain = server.application.base.database.statements - before
    await alice.send(room_id, "y")
    before = server.application.base.database.statements
    await told(bob)
    assert server.application.base.database.statements - before <= plain + 1


@pytest.mark.parametrize(
    "wish",
    [
        '{"org.matrix.msc4429.profile_fields":7}',
        '{"org.matrix.msc4429.profile_fields":{"ids":7}}',
        '{"org.matrix.msc4429.profile_fields":{"ids":[7]}}',
        '{"org.matrix.msc4429.profile_fields":{"ids":[' + ",".join(f'"f{number}"' for number in range(101)) + "]}}",
    ],
)
async def test_filters_that_are_none(server: Server, wish: str) -> None:
    alice = await server.register("alice")
    await alice.get("sync", filter=wish, expect=400)


@pytest.mark.parametrize("fields", [7, [7], ["x"] * 101])
async def test_extensions_that_are_none(server: Server, fields: Any) -> None:
    alice = await server.register("alice")
    body = {"extensions": {PROFILES: {"enabled": True, "fields": fields}}}
    await alice.post(SLIDING, body, expect=400)


async def test_changes_under_ever_new_names_are_forgotten(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MAX_CHANGES_OF_USER", 3)
    mallory, alice = await server.register("mallory"), await server.register("alice")
    await say(alice, "org.example.mood", "calm")
    for number in range(8):
        await say(mallory, f"org.example.n{number}", number)
        await take_away(mallory, f"org.example.n{number}")
    rows = await server.application.base.database.fetch("SELECT user_id, field FROM profile_changes ORDER BY position")
    assert [row[0] for row in rows] == [alice.user_id, *[mallory.user_id] * 4]
    assert rows[-1][1] == "org.example.n7"


async def test_whole_profiles_are_told_up_to_a_size(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mallory and his friends have as much in theirs as there may be, each."""
    monkeypatch.setattr(updates, "MAX_BYTES", 3_000)
    _, bob, room_id = await sharing(server)
    for name in ("mallory", "malfoy", "malvolio"):
        friend = await server.register(name)
        await friend.join(room_id)
        await say(friend, STATUS, "x" * 200)
        await say(friend, "org.example.more", "x" * 1_000)
    found = await Sliding(bob)()
    assert sum("org.example.more" in each["updated"] for each in found.values()) <= 2
    assert 0 < len(found) < 5
