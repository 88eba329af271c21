"""Searches of a large database: `python bench/search/messages.py [messages]`. Prints tables for RESULTS.md."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from homeserver.services.search.indexer import Indexer  # noqa: E402
from homeserver.storage.database import Database  # noqa: E402
from homeserver.storage.positions import StreamPosition  # noqa: E402
from homeserver.storage.search_entries import SearchEntries  # noqa: E402
from tests.cast import Client  # noqa: E402
from tests.clock import FakeClock  # noqa: E402
from tests.homeserver import running_homeserver, server_settings  # noqa: E402
from tests.postgres import running_server  # noqa: E402

ROOMS, PEOPLE, WORDS, ROUNDS = 200, 300, 20_000, 20
BATCH = 5_000
INSERT = """
INSERT INTO events (event_nid, room_nid, position, depth, origin_server_ts, event_id, type, sender, body, envelope)
SELECT nid, room_nid, nid, 100, 1, event_id, 'm.room.message', sender, body, '{}'
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::bytea[]) AS n(nid, room_nid, event_id, sender, body)
"""
SIZES = """
SELECT pg_table_size('search_entries'), pg_relation_size('search_entries_pkey'), pg_relation_size('search_entries_words'),
       (SELECT count(*) FROM search_entries)
"""


# The name of a database that only this bench uses.
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"


class Words:
    """A language: the n-th word comes 1/n times as often as the first."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        lengths = (self.random.randint(2, 10) for _ in range(WORDS))
        self.words = ["".join(self.random.choices(letters, k=length)) for length in lengths]
        self._weights = [1 / (number + 1) for number in range(WORDS)]

    def sentence(self) -> str:
        return " ".join(self.random.choices(self.words, self._weights, k=self.random.randint(3, 20)))


def message(text: str, event_id: str, sender: str) -> bytes:
    """As events are stored."""
    content = {"body": text, "msgtype": "m.text"}
    event = {
        "content": content,
        "event_id": event_id,
        "origin_server_ts": 1,
        "sender": sender,
        "type": "m.room.message",
    }
    return orjson.dumps(event)


async def fill(database: Database, messages: int, words: Words) -> None:
    """As if they had been sent: behind what the rooms themselves are made of."""
    rooms = [row[0] for row in await database.fetch("SELECT room_nid FROM rooms ORDER BY room_nid")]
    traffic = [1 / (number + 1) for number in range(len(rooms))]
    last = await database.fetchval("SELECT max(event_nid) FROM events")
    for start in range(0, messages, BATCH):
        numbers = range(start, min(start + BATCH, messages))
        senders = [f"@person{words.random.randrange(PEOPLE)}:test" for _ in numbers]
        chosen = words.random.choices(rooms, traffic, k=len(numbers))
        ids = [f"$bench{number}" for number in numbers]
        bodies = [message(words.sentence(), *each) for each in zip(ids, senders, strict=True)]
        await database.execute(INSERT, [last + 1 + number for number in numbers], chosen, ids, senders, bodies)


async def index(database: Database) -> None:
    """Print what the index costs a message, in time and bytes."""
    entries = SearchEntries()
    stream = StreamPosition("events", await database.fetchval("SELECT max(event_nid) FROM events"))
    indexer = Indexer(database, entries, stream)
    await indexer.load()
    watch = Stopwatch(database)
    await watch.look()
    started, used = watch.seconds(), time.process_time()
    await indexer.run()
    theirs, ours = watch.seconds() - started, time.process_time() - used
    rows, keys, words, count = await database.fetchrow(SIZES)
    await database.execute("VACUUM ANALYZE")
    print("| by message | |\n|---|---|")
    print(
        f"| CPU time of its entry, ours and the database's | {ours / count * 1e6:.0f} + {theirs / count * 1e6:.0f} µs |"
    )
    print(
        f"| bytes of its entry, key, words in the index | {rows / count:.0f}, {keys / count:.0f}, {words / count:.0f} |\n"
    )


class Stopwatch:
    """How long the processors of this machine worked for the database's connections: other programs do not count."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.files: list[Path] = []

    async def look(self) -> None:
        """Which connections there are."""
        self.files = [Path(f"/proc/{row[0]}/schedstat") for row in await self.database.fetch(BACKENDS)]

    def seconds(self) -> float:
        return sum(int(file.read_text().split()[0]) for file in self.files) / 1e9


def searches(words: Words, rooms: list[str]) -> dict[str, dict[str, Any]]:
    """By name: what is asked."""
    by_commonness = {"the most common word": 0, "the 5th": 4, "the 20th": 19, "the 200th": 199, "a rare word": 10_000}
    asked: dict[str, dict[str, Any]] = {}
    for name, number in by_commonness.items():
        for order in ("recent", "rank"):
            asked[f"{name}, by {order}"] = {"search_term": words.words[number] + " ", "order_by": order}
    both = f"{words.words[0]} {words.words[1]} "
    asked["the two most common words"] = {"search_term": both, "order_by": "recent"}
    asked["a phrase of the two"] = {"search_term": f'"{both}"', "order_by": "recent"}
    asked["the beginning of a word"] = {"search_term": words.words[300][:3], "order_by": "recent"}
    for name, some in (("the busiest room", rooms[:1]), ("a quiet room", rooms[150:151]), ("20 rooms", rooms[20:40])):
        for word, number in (("most common", 0), ("20th", 19)):
            asked[f"the {word} word in {name}"] = {
                "search_term": words.words[number] + " ", "order_by": "recent", "filter": {"rooms": some},
            }  # fmt: skip
    asked["the 20th with context, profiles, state, groups"] = {
        "search_term": words.words[19] + " ",
        "order_by": "recent",
        "include_state": True,
        "event_context": {"include_profile": True},
        "groupings": {"group_by": [{"key": "room_id"}]},
    }
    return asked


async def measure(client: Client, name: str, criteria: dict[str, Any], watch: Stopwatch) -> None:
    used, waited = [], []
    await watch.look()
    for _ in range(ROUNDS):
        started, before = time.perf_counter(), watch.seconds()
        answer = await client.post("search", {"search_categories": {"room_events": criteria}})
        used.append((watch.seconds() - before) * 1000)
        waited.append((time.perf_counter() - started) * 1000)
    found = answer["search_categories"]["room_events"]
    times = f"{statistics.median(used):.1f} | {max(used):.1f} | {statistics.median(waited):.1f}"
    print(f"| {name} | {found['count']} | {times} |", flush=True)


async def bench(dsn: str, folder: Path, messages: int) -> None:
    settings, words = server_settings(folder), Words()
    async with running_homeserver(settings, dsn, FakeClock()) as server:
        alice, bob = await server.register("alice"), await server.register("bob")
        rooms = [await alice.create_room(preset="public_chat") for _ in range(ROOMS)]
        for room in rooms[100:103]:
            await bob.join(room)
        database = Database(dsn)
        await fill(database, messages, words)
        await index(database)
        await database.close()
    async with running_homeserver(settings, dsn, FakeClock()) as server:
        # The same tokens; the second start takes the stream to where the messages end.
        alice, bob = (Client(server.session, server.base_url, access_token=each.access_token) for each in (alice, bob))
        watch = Stopwatch(server.application.base.database)
        print("| search | found | database: CPU ms, median | slowest | the whole request, ms |\n|---|---|---|---|---|")
        for name, criteria in searches(words, rooms).items():
            await measure(alice, name, criteria, watch)
        one = searches(words, rooms)["the most common word, by recent"]
        await measure(bob, "the most common word, by somebody in 3 of the 200 rooms", one, watch)
        await measure(bob, "the same by rank", {**one, "order_by": "rank"}, watch)


def main() -> None:
    """Run it."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with running_server() as postgres, tempfile.TemporaryDirectory() as folder:
        name = asyncio.run(postgres.clone())
        asyncio.run(bench(postgres.dsn_of(name), Path(folder), messages))
        asyncio.run(postgres.drop(name))


if __name__ == "__main__":
    main()
