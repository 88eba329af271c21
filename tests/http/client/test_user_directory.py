"""People look for each other by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import UserDirectorySettings
from homeserver.services.user_directory import search as user_search
from homeserver.storage.user_directory import UserDirectoryRows
from tests.cast import Client, Expected, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings


async def look(client: Client, term: str, *, expect: Expected = 200, **body: Any) -> Any:
    return await client.post("user_directory/search", {"search_term": term, **body}, expect=expect)


async def found(client: Client, term: str, **body: Any) -> list[str]:
    return [each["user_id"] for each in (await look(client, term, **body))["results"]]


async def rename(client: Client, name: str) -> None:
    await client.put(("profile", client.user_id, "displayname"), {"displayname": name})


async def test_people_in_public_rooms_are_found(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await rename(alice, "Alice in Wonderland")
    await alice.put(("profile", alice.user_id, "avatar_url"), {"avatar_url": "mxc://test/alice"})
    room = await alice.create_room(preset="private_chat")
    assert await found(bob, "alice") == []
    await alice.set_state(room, "m.room.join_rules", {"join_rule": "public"})
    answer = await look(bob, "WONDER")
    assert answer == {
        "results": [
            {"user_id": alice.user_id, "display_name": "Alice in Wonderland", "avatar_url": "mxc://test/alice"}
        ],
        "limited": False,
    }
    for term in ("@alice:test", "alice", "ice", "nder", "a", "al", "wonder ali", "@ali", "@alice:te", "  alice  "):
        assert await found(bob, term) == [alice.user_id], term
    for term in (
        "",
        "  ",
        "@",
        "xyz",
        "wonder bob",
        "l",
        "@alice:elsewhere",
        "test",
        "%",
        "_",
        "alice%",
        "ali_e",
        "\\",
    ):
        assert await found(bob, term) == [], term
    await alice.set_state(room, "m.room.join_rules", {"join_rule": "invite"})
    assert await found(bob, "alice") == []
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert await found(bob, "alice") == [alice.user_id]
    # One finds oneself there, too.
    assert await found(alice, "wonder") == [alice.user_id]
    await alice.leave(room)
    assert await found(bob, "alice") == []


async def test_people_one_shares_a_room_with_until_the_last_of_them(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = [await alice.create_room(preset="private_chat") for _ in range(2)]
    for room in rooms:
        await alice.invite(room, bob)
        assert await found(alice, "bob") == ([] if room == rooms[0] else [bob.user_id])
        await bob.join(room)
        assert await found(alice, "bob") == [bob.user_id]
    await bob.leave(rooms[0])
    assert await found(alice, "bob") == [bob.user_id]
    assert await found(bob, "alice") == [alice.user_id]
    await bob.leave(rooms[1])
    assert await found(alice, "bob") == []
    assert await found(bob, "alice") == []


async def test_names_that_change(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await bob.join(await alice.create_room(preset="public_chat"))
    await rename(alice, "Before")
    assert await found(bob, "before") == [alice.user_id]
    await rename(alice, "Äfter")
    assert await found(bob, "before") == []
    assert await found(bob, "after") == [alice.user_id]
    await alice.delete(("profile", alice.user_id, "displayname"))
    assert await found(bob, "after") == []
    assert await look(bob, "alice") == {"results": [{"user_id": alice.user_id}], "limited": False}


async def test_the_best_come_first(server: Server) -> None:
    bob = await server.register("bob")
    hall = await bob.create_room(preset="public_chat")
    people = {name: await server.register(name) for name in ("anna", "annabel", "joanna", "hannah", "anna2")}
    for person in people.values():
        room = hall if person.user_id == "@hannah:test" else await person.create_room(preset="public_chat")
        if room == hall:
            await person.join(room)
    assert await found(bob, "anna") == [
        "@anna:test", "@anna2:test", "@annabel:test", "@hannah:test", "@joanna:test",
    ]  # fmt: skip
    answer = await look(bob, "anna", limit=2)
    assert ([each["user_id"] for each in answer["results"]], answer["limited"]) == (["@anna:test", "@anna2:test"], True)
    assert (await look(bob, "anna", limit=5))["limited"] is False
    assert len((await look(bob, "anna", limit=0))["results"]) == 1


async def test_the_very_name_is_found_among_thousands(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_search, "LOOK_AT", 1)
    alice = await server.register("alice")
    hall = await alice.create_room(preset="public_chat")
    for name in ("annabel", "annabella", "ann", "annette"):
        await (await server.register(name)).join(hall)
    assert (await found(alice, "ann"))[0] == "@ann:test"
    # Nor are those of his own rooms missed.
    assert len(await found(alice, "anna")) == 2
    stranger = await server.register("stranger")
    assert len(await found(stranger, "nabel")) == 1


async def test_after_a_restart(database_dsn: str, clock: FakeClock, tmp_path: Path) -> None:
    settings = server_settings(tmp_path)
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob = await server.register("alice"), await server.register("bob")
        await bob.join(await alice.create_room(preset="private_chat", invite=[bob.user_id]))
    async with running_homeserver(settings, database_dsn, clock) as server:
        again = Client(server.session, server.base_url, access_token=alice.access_token)
        assert await found(again, "bob") == [bob.user_id]


async def test_a_failure_is_made_up_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await bob.join(await alice.create_room(preset="public_chat"))

    async def fails(*args: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(UserDirectoryRows, "put_users", fails)
        assert await found(alice, "bob") == []
        await rename(bob, "Robert")
        assert await found(alice, "bob") == []
    assert await found(alice, "robert") == [bob.user_id]


async def test_who_is_not_there(server: Server) -> None:
    alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
    hall = await alice.create_room(preset="public_chat")
    await bob.join(hall)
    await carol.join(hall)
    guest = await server.guest()
    await alice.set_state(hall, "m.room.guest_access", {"guest_access": "can_join"})
    await guest.join(hall)
    assert await found(alice, guest.user_id) == []
    assert await found(alice, "carol") == [carol.user_id]
    await bob.put(("user", bob.user_id, "account_data", "m.ignored_user_list"), {"ignored_users": {carol.user_id: {}}})
    assert await found(bob, "carol") == []
    await carol.post("account/deactivate", {"auth": carol.password_auth()})
    assert await found(alice, "carol") == []
    rows = await server.application.base.database.fetch("SELECT user_id FROM directory_users ORDER BY user_id")
    assert [row[0] for row in rows] == [alice.user_id, bob.user_id]


async def test_bad_input(server: Server) -> None:
    alice = await server.register("alice")
    await look(alice, "a" * 257, expect=(400, "M_INVALID_PARAM"))
    await look(alice, "a", limit=-1, expect=(400, "M_INVALID_PARAM"))
    await look(alice, "a", limit="x", expect=(400, "M_BAD_JSON"))
    await look(alice, "a\0", expect=(400, "M_BAD_JSON"))
    await alice.post("user_directory/search", {"search_term": None}, expect=(400, "M_BAD_JSON"))
    await alice.post("user_directory/search", {}, expect=(400, "M_MISSING_PARAM"))
    await server.anonymous().post("user_directory/search", {"search_term": "a"}, expect=(401, "M_MISSING_TOKEN"))
    for term in ("'; DROP TABLE users; --", "^a", "' OR 1=1", "{a,b}", "a\nb", "\u202e", "🎉", "İ" * 85, "\x1c"):
        assert await found(alice, term, limit=10**9) == []


@pytest.fixture
async def open_server(database_dsn: str, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Server]:
    settings = server_settings(tmp_path, user_directory=UserDirectorySettings(search_all_users=True))
    async with running_homeserver(settings, database_dsn, clock) as server:
        yield server


async def test_everybody_of_a_server_that_wants_it_so(open_server: Server) -> None:
    alice, bob = await open_server.register("alice"), await open_server.register("bob")
    assert await found(alice, "bob") == [bob.user_id]
    await rename(bob, "Robert")
    assert await found(alice, "robert") == [bob.user_id]
