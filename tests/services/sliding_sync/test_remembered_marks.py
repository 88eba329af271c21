"""What filters look at is in memory, and has an end in bytes: Mallory's names and tags are as long as they may be."""

from __future__ import annotations

import orjson

from homeserver.services.account_data.account_data import MAX_BYTES
from homeserver.services.sliding_sync.room_facts import MAX_TEXT_CHARACTERS
from homeserver.services.sliding_sync.user_marks import MAX_WEIGHT, WEIGHT_BYTES, UserMarks
from homeserver.services.sync.sources import AccountDataEvents
from tests.cast import Server

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"


class Nobody:
    """Account data that is never asked for."""


def tagged(rooms: int, tags: int, characters: int) -> AccountDataEvents:
    content = {"tags": {f"{number:05}".ljust(characters, "x"): {} for number in range(tags)}}
    event = orjson.dumps({"type": "m.tag", "content": content})
    return AccountDataEvents(by_room={f"!{number}:test": [event] for number in range(rooms)})


def test_tags_count_as_what_they_are() -> None:
    marks = UserMarks(Nobody())  # type: ignore[arg-type]
    for number in range(100):
        marks.learn(f"@user{number}:test", tagged(2, 1, 10), 1)
    assert marks.memory_usage()["weight"] < 500
    large = tagged(16, 1, 1_000_000)
    assert sum(len(event) for events in large.by_room.values() for event in events) < MAX_BYTES
    for number in range(10):
        marks.learn(f"@mallory{number}:test", large, 1)
    assert marks.memory_usage()["weight"] <= MAX_WEIGHT
    assert marks.memory_usage()["users"] <= MAX_WEIGHT * WEIGHT_BYTES // 16_000_000
    # The same user again counts once.
    before = marks.memory_usage()
    assert marks.learn("@mallory9:test", large, 2).at == 2
    assert marks.memory_usage() == before


async def test_long_names_of_rooms_are_not_kept(server: Server) -> None:
    mallory = await server.register("mallory")
    room_id = await mallory.create_room(name="party " + "x" * 50_000, creation_content={"type": "y" * 5_000})
    facts = server.application.sliding_sync.sync.answers.lists.facts
    wanted = {"timeline_limit": 0, "required_state": [], "filters": {"room_name_like": "PARTY x"}}
    for _ in range(2):
        answer = await mallory.post(UNSTABLE, {"lists": {"a": wanted}})
        assert answer["rooms"].keys() == {room_id}
        kept = (await facts.of_rooms([await server.application.base.cache.get(room_id)]))[room_id]
        assert kept.name is not None
        assert kept.room_type is not None
        assert len(kept.name) == len(kept.room_type) == MAX_TEXT_CHARACTERS
        await mallory.set_state(room_id, "m.room.name", {"name": "party " + "z" * 50_000})
        wanted["filters"] = {"room_name_like": "PARTY z"}
