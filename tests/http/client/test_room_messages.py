"""Alice's room as its members read it, page by page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cast import Client, Server


async def _say(client: Client, room_id: str, *texts: str) -> list[str]:
    return [await client.send(room_id, text) for text in texts]


def _bodies(page: dict[str, Any]) -> list[str]:
    return [event["content"]["body"] for event in page["chunk"] if event["type"] == "m.room.message"]


def _ids(page: dict[str, Any]) -> list[str]:
    return [event["event_id"] for event in page["chunk"]]


async def _everything(client: Client, room_id: str, **query: Any) -> list[dict[str, Any]]:
    """Page until there is no `end`."""
    events: list[dict[str, Any]] = []
    for _ in range(100):
        page = await client.messages(room_id, **query)
        events += page["chunk"]
        if "end" not in page:
            return events
        query["from"] = page["end"]
    raise AssertionError("paging does not end")


async def test_history_comes_newest_first_and_the_other_way_round(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    await _say(alice, room_id, "one", "two", "three")
    assert _bodies(await alice.messages(room_id)) == ["three", "two", "one"]
    forwards = await alice.messages(room_id, dir="f", limit=100)
    assert forwards["chunk"][0]["type"] == "m.room.create"
    assert _bodies(forwards) == ["one", "two", "three"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
async def test_paging_to_the_beginning_and_back_shows_every_event_once(server: Server, limit: int) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    await _say(alice, room_id, *(str(number) for number in range(9)))
    backwards = await _everything(alice, room_id, limit=limit)
    forwards = await _everything(alice, room_id, dir="f", limit=limit)
    assert backwards[-1]["type"] == "m.room.create"
    assert [e["event_id"] for e in backwards] == [e["event_id"] for e in reversed(forwards)]
    assert len({e["event_id"] for e in backwards}) == len(backwards)


async def test_history_older_than_memory_comes_from_the_database(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    sent = await _say(alice, room_id, *(str(number) for number in range(80)))
    backwards = [e["event_id"] for e in await _everything(alice, room_id, limit=30) if "body" in e["content"]]
    assert backwards == sent[::-1]
    server.application.base.cache.retire(await server.application.base.cache.get(room_id))
    again = [e["event_id"] for e in await _everything(alice, room_id, limit=30) if "body" in e["content"]]
    assert again == sent[::-1]


async def test_a_page_ends_where_the_client_wants_it_to(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    await _say(alice, room_id, "one", "two")
    middle = (await alice.messages(room_id, limit=1))["start"]
    await _say(alice, room_id, "three", "four")
    assert _bodies(await alice.messages(room_id, to=middle, limit=100)) == ["four", "three"]
    assert _bodies(await alice.messages(room_id, dir="f", **{"from": middle})) == ["three", "four"]
    assert _bodies(await alice.messages(room_id, dir="f", to=middle, limit=100)) == ["one", "two"]
    nothing = await alice.messages(room_id, to=middle, **{"from": middle})
    assert nothing["chunk"] == []
    assert "end" not in nothing


async def test_tokens_answer_where_they_came_from(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    first = await alice.messages(room_id, limit=2)
    second = await alice.messages(room_id, limit=2, **{"from": first["end"]})
    assert second["start"] == first["end"]
    back = await alice.messages(room_id, dir="f", limit=2, **{"from": second["start"]})
    assert _ids(back) == _ids(first)[::-1]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "nonsense"}, {"from": ""}, {"to": "t"}, {"from": "t1.5"}, {"from": "s1"}, {"from": "t9" * 200},
        {"from": "t99999999999999999999"}, {"to": "s1_2_3_4_5_6_x"}, {"limit": "-1"}, {"limit": "many"},
        {"dir": "sideways"}, {"filter": "[]"}, {"filter": "{"}, {"filter": '{"types": "m.room.message"}'},
        {"filter": '{"limit": -1}'},
    ],
)  # fmt: skip
async def test_wrong_parameters_are_refused_with_400(server: Server, query: dict[str, str]) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.get(("rooms", room_id, "messages"), expect=400, **{"dir": "b", **query})


async def test_the_direction_is_required(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.get(("rooms", room_id, "messages"), expect=(400, "M_MISSING_PARAM"))


async def test_tokens_of_another_time_are_harmless(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    await alice.send(room_id, "hello")
    assert _bodies(await alice.messages(room_id, **{"from": "t99999999999"})) == ["hello"]
    assert (await alice.messages(room_id, dir="f", **{"from": "t99999999999"}))["chunk"] == []
    assert (await alice.messages(room_id, **{"from": "t-5"}))["chunk"] == []
    assert _bodies(await alice.messages(room_id, **{"from": "s99999_0_0_0_0_0_0"})) == ["hello"]


async def test_limits(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    await _say(alice, room_id, *"abcdefghijkl")
    assert len((await alice.messages(room_id))["chunk"]) == 10
    assert len((await alice.messages(room_id, limit=5, filter='{"limit": 3}'))["chunk"]) == 3
    assert (await alice.messages(room_id, limit=100_000))["chunk"][-1]["type"] == "m.room.create"
    none = await alice.messages(room_id, limit=0)
    assert none["chunk"] == []
    assert _bodies(await alice.messages(room_id, limit=1, **{"from": none["end"]})) == ["l"]


async def test_filters_choose_types_and_senders(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await alice.send(room_id, "from alice")
    await bob.send(room_id, "from bob")
    await bob.send(room_id, {"odd": 1}, "org.example_x")

    async def found(**event_filter: Any) -> list[str]:
        page = await alice.messages(room_id, limit=50, filter=json.dumps(event_filter))
        return [event["content"].get("body", event["type"]) for event in page["chunk"]]

    assert await found(types=["m.room.message"]) == ["from bob", "from alice"]
    assert await found(types=["m.room.message"], not_senders=[bob.user_id]) == ["from alice"]
    assert await found(types=["*_x"]) == ["org.example_x"]
    assert await found(types=["org.exampleZ*"]) == []
    assert await found(types=["m.room.m*"], senders=[bob.user_id]) == ["from bob", "m.room.member"]
    assert await found(not_types=["m.*"]) == ["org.example_x"]
    assert await found(types=[]) == []
    assert await found(not_rooms=[room_id]) == []
    assert len(await found(rooms=[room_id])) > 5


async def test_a_filtered_page_is_filled_from_further_back(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    for number in range(4):
        await alice.send(room_id, {"number": number}, "org.example.rare")
        await _say(alice, room_id, *"abcdefg")
    rare = json.dumps({"types": ["org.example.rare"]})
    page = await alice.messages(room_id, limit=3, filter=rare)
    assert [event["content"]["number"] for event in page["chunk"]] == [3, 2, 1]
    rest = await alice.messages(room_id, limit=3, filter=rare, **{"from": page["end"]})
    assert [event["content"]["number"] for event in rest["chunk"]] == [0]
    forwards = await alice.messages(room_id, limit=3, dir="f", filter=rare)
    assert [event["content"]["number"] for event in forwards["chunk"]] == [0, 1, 2]


async def test_a_rare_event_is_found_in_bounded_steps(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeserver.services.timeline.pages.LOOK_AT", 2)
    monkeypatch.setattr("homeserver.services.timeline.pages.MAX_STATEMENTS", 2)
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    await alice.send(room_id, {"here": True}, "org.example.rare")
    await _say(alice, room_id, *"abcdefghijklmnopqrst")
    rare = json.dumps({"types": ["org.example.rare"]})
    first = await alice.messages(room_id, filter=rare)
    assert first["chunk"] == []
    found = await _everything(alice, room_id, filter=rare)
    assert [event["content"] for event in found] == [{"here": True}]
    assert [event["content"] for event in await _everything(alice, room_id, dir="f", filter=rare)] == [{"here": True}]


async def test_pictures_are_found_by_their_url(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    picture = await alice.send(room_id, {"msgtype": "m.image", "body": "p", "url": "mxc://test/abc"})
    await alice.send(room_id, 'not a picture: "url":"x"')
    await alice.send(room_id, {"msgtype": "m.text", "body": "b", "org.example": {"url": "deeper"}})
    with_url = await alice.messages(room_id, filter='{"contains_url": true}')
    assert _ids(with_url) == [picture]
    without = await alice.messages(room_id, limit=100, filter='{"contains_url": false}')
    assert picture not in _ids(without)
    assert len(without["chunk"]) > 6


async def test_events_are_found_by_what_relates_to_them(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    liked, discussed, _ = await _say(alice, room_id, "liked", "discussed", "alone")
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": liked, "key": "👍"}}
    await bob.send(room_id, reaction, "m.reaction")
    thread = {"msgtype": "m.text", "body": "re", "m.relates_to": {"rel_type": "m.thread", "event_id": discussed}}
    await alice.send(room_id, thread)

    async def found(**event_filter: Any) -> list[str]:
        return _ids(await alice.messages(room_id, filter=json.dumps(event_filter)))

    assert await found(related_by_rel_types=["m.thread"]) == [discussed]
    assert await found(related_by_senders=[bob.user_id]) == [liked]
    assert await found(related_by_senders=[bob.user_id], related_by_rel_types=["m.thread"]) == []
    assert await found(related_by_rel_types=["m.thread", "m.annotation"]) == [discussed, liked]


@pytest.mark.parametrize("prefix", ["", "org.matrix.msc3874."])
async def test_events_are_found_by_how_they_relate_to_others(server: Server, prefix: str) -> None:
    """MSC3874."""
    alice = await server.register("alice")
    room_id = await alice.create_room()
    plain = await alice.send(room_id, "Which cake?")

    async def say(rel_type: str) -> str:
        return await alice.send(room_id, {"body": "x", "m.relates_to": {"rel_type": rel_type, "event_id": plain}})

    thread, edit = await say("m.thread"), await say("m.replace")

    async def found(**wanted: list[str]) -> list[str]:
        wanted_here = {prefix + key: names for key, names in wanted.items()} | {"types": ["m.room.message"]}
        page = _ids(await alice.messages(room_id, filter=json.dumps(wanted_here)))
        synced = await alice.sync(since=None, filter={"room": {"timeline": wanted_here}})
        assert synced.event_ids(room_id) == page[::-1]
        return page

    assert await found(rel_types=["m.thread"]) == [thread]
    assert await found(rel_types=["m.thread", "m.replace"], not_rel_types=["m.thread"]) == [edit]
    assert await found(not_rel_types=["m.replace"]) == [thread, plain]
    assert await found(rel_types=[]) == []
    await alice.messages(room_id, expect=(400, "M_BAD_JSON"), filter=json.dumps({prefix + "rel_types": "m.thread"}))


async def test_lazily_loaded_members_are_those_who_speak(server: Server) -> None:
    alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await carol.join(room_id)
    await bob.send(room_id, "hello")
    before = (await alice.messages(room_id, limit=1))["start"]
    lazy = '{"lazy_load_members": true}'
    page = await alice.messages(room_id, limit=1, filter=lazy)
    assert [event["state_key"] for event in page["state"]] == [bob.user_id]
    assert page["state"][0]["content"]["membership"] == "join"
    await bob.leave(room_id)
    then = await alice.messages(room_id, limit=1, filter=lazy, **{"from": before})
    assert [event["content"]["membership"] for event in then["state"]] == ["join"]
    assert "state" not in await alice.messages(room_id)


async def test_unsigned_says_what_the_reader_was(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    before = await alice.send(room_id, "before bob")
    await bob.join(room_id)
    after = await alice.send(room_id, "with bob")
    page = await bob.messages(room_id, limit=50)
    memberships = {event["event_id"]: event["unsigned"]["membership"] for event in page["chunk"]}
    assert memberships[before] == "leave"
    assert memberships[after] == "join"
    own_join = next(event for event in page["chunk"] if event.get("state_key") == bob.user_id)
    assert own_join["unsigned"]["membership"] == "join"


async def test_only_the_sending_device_gets_the_transaction_id(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    phone = await alice.login()
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await alice.send(room_id, "hello", txn_id="my txn/1")

    async def seen_by(client: Client) -> str | None:
        page = await client.messages(room_id, limit=1)
        transaction_id: str | None = page["chunk"][0]["unsigned"].get("transaction_id")
        return transaction_id

    assert [await seen_by(client) for client in (alice, phone, bob)] == ["my txn/1", None, None]
    # As after a restart: the room is read from the database again.
    server.application.base.cache.retire(await server.application.base.cache.get(room_id))
    assert [await seen_by(client) for client in (phone, bob, alice)] == [None, None, "my txn/1"]


async def test_messages_of_ignored_users_are_left_out(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    hello = await alice.send(room_id, "hello")
    await _say(mallory, room_id, *"spammy")
    ignored: dict[str, Any] = {"ignored_users": {mallory.user_id: {}}}
    await alice.put(("user", alice.user_id, "account_data", "m.ignored_user_list"), ignored)
    page = await alice.messages(room_id, limit=2)
    # State events of ignored users are still sent.
    assert [event["sender"] for event in page["chunk"]] == [alice.user_id, mallory.user_id]
    assert page["chunk"][1]["type"] == "m.room.member"
    context = await alice.get(("rooms", room_id, "context", hello))
    assert context["events_after"] == []


async def test_strangers_may_not_read_and_unknown_rooms_look_the_same(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.get(("rooms", room_id, "messages"), dir="b", expect=(403, "M_FORBIDDEN"))
    await mallory.get(("rooms", "!nowhere:test", "messages"), dir="b", expect=(403, "M_FORBIDDEN"))
    await mallory.anonymous().get(("rooms", room_id, "messages"), dir="b", expect=(401, "M_MISSING_TOKEN"))


async def test_a_page_costs_few_statements(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await _say(alice, room_id, *(str(number) for number in range(70)))
    await bob.join(room_id)
    database = server.application.base.database

    async def cost(client: Client, **query: Any) -> int:
        await client.messages(room_id, limit=1)
        before = database.statements
        await client.messages(room_id, **query)
        return int(database.statements - before)

    lazy = '{"lazy_load_members": true}'
    assert await cost(alice, limit=20, filter=lazy) == 0
    assert await cost(alice, limit=50, filter=lazy, dir="f") <= 2
    assert await cost(bob, limit=50, filter=lazy) <= 2
    only_messages = '{"lazy_load_members": true, "types": ["m.room.message"], "contains_url": false}'
    assert await cost(bob, limit=50, filter=only_messages) <= 4
