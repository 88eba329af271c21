"""The index follows what is said, over restarts and however much it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeserver.services.search import indexer
from homeserver.services.search.indexer import Indexer
from homeserver.storage.search_entries import SearchEntries
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings

COUNT = "SELECT count(*) FROM search_entries"


async def found(client: Client, term: str) -> int:
    criteria: dict[str, Any] = {"search_term": term}
    answer = await client.post("search", {"search_categories": {"room_events": criteria}})
    return len(answer["search_categories"]["room_events"]["results"])


async def test_nothing_is_lost_by_a_restart(database_dsn: str, clock: FakeClock, tmp_path: Path) -> None:
    settings = server_settings(tmp_path)
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice = await server.register("alice")
        room = await alice.create_room()
        await alice.send(room, "potato one")
        assert await found(alice, "potato") == 1
        await alice.send(room, "potato two")
        gone = await alice.send(room, "potato three")
        await alice.redact(room, gone)
        assert await server.application.base.database.fetchval(COUNT) == 1
    async with running_homeserver(settings, database_dsn, clock) as server:
        again = Client(server.session, server.base_url, access_token=alice.access_token)
        assert await found(again, "potato") == 2
        assert await server.application.base.database.fetchval(COUNT) == 2
        await again.send(room, "potato four", txn_id="another")
        assert await found(again, "potato") == 3


async def test_a_search_does_not_wait_for_all_of_a_long_past(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(indexer, "BATCH", 10)
    monkeypatch.setattr(indexer, "STEPS_BEFORE_SEARCH", 1)
    alice = await server.register("alice")
    room = await alice.create_room()
    for number in range(30):
        await alice.send(room, f"potato {number}")
    assert await found(alice, "potato") < 10
    for _ in range(4):
        await found(alice, "potato")
    assert await server.application.base.database.fetchval(COUNT) == 30


async def test_what_is_old_is_indexed_in_the_background(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    await alice.send(room, "potato")
    database = server.application.base.database
    assert await database.fetchval(COUNT) == 0
    server.clock.advance(seconds=3)
    for _ in range(100):
        if await database.fetchval(COUNT) == 1:
            break
        await alice.get("account/whoami")
    assert await database.fetchval(COUNT) == 1


async def test_where_nothing_was_said_nothing_is_asked(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    await alice.send(room, "potato")
    application = server.application
    follower = Indexer(application.base.database, SearchEntries(), application.kernel.writer.position)
    await follower.load()
    await follower.run()
    before = application.base.database.statements
    await follower.run()
    follower.events([])
    await follower.run()
    assert application.base.database.statements == before


async def test_a_failure_is_made_up_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    await alice.send(room, "potato")

    async def fails(*args: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(SearchEntries, "write", fails)
        assert await found(alice, "potato") == 0
    assert await found(alice, "potato") == 1


async def test_words_that_cannot_be_written_hold_nothing_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    await alice.send(room, "potato")
    with monkeypatch.context() as broken:
        broken.setattr(indexer, "entry_words", lambda *args: "'never closed")
        assert await found(alice, "potato") == 0
    await alice.send(room, "potato again")
    assert await found(alice, "potato") == 1


async def test_hostile_texts(server: Server) -> None:
    """Folding makes eighteen characters of one; marks pile up; a word has no end."""
    alice = await server.register("alice")
    room = await alice.create_room()
    for text in (
        "\ufdfa" * 15_000,
        "e" + "\u0301" * 25_000,
        "x" * 60_000,
        "京" * 15_000,
        "' \\ " * 10_000,
        "🎉" * 15_000,
    ):
        await alice.send(room, text)
    await alice.send(room, " ".join(f"w{number}" for number in range(10_000)))
    await alice.send(room, "potato")
    assert await found(alice, "potato") == 1
    assert await found(alice, "w3999") == 0
    assert await found(alice, "w2000") == 1
    assert await found(alice, "京京京") == 1


async def test_two_who_index_write_nothing_twice(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    for number in range(5):
        await alice.send(room, f"potato {number}")
    application = server.application
    others = [Indexer(application.base.database, SearchEntries(), application.kernel.writer.position) for _ in range(2)]
    for each in others:
        await each.load()
    for each in others:
        await each.run()
    assert await found(alice, "potato") == 5
    assert await application.base.database.fetchval(COUNT) == 5
