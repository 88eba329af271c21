"""Alice searches for what was said."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from homeserver.services.search import entries, indexer
from homeserver.services.search import search as searching
from homeserver.storage.search_entries import Found, SearchEntries, Wish
from tests.cast import Client, Expected, Server


async def search(
    client: Client, term: str, *, token: str | None = None, expect: Expected = 200, **criteria: Any
) -> Any:
    body = {"search_categories": {"room_events": {"search_term": term, **criteria}}}
    answer = await client.post("search" if token is None else f"search?next_batch={token}", body, expect=expect)
    return answer["search_categories"]["room_events"] if expect == 200 else answer


def bodies(found: Any) -> list[str]:
    return [each["result"]["content"]["body"] for each in found["results"]]


async def test_a_message_is_found_by_its_words(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    event_id = await alice.send(room, "Hello, Wörld! How are you?")
    await alice.send(room, "something else")
    for term in ("hello", "HELLO world", "wor", '"how are you"', "world -else", "nothing or hello"):
        found = await search(alice, term)
        assert [each["result"]["event_id"] for each in found["results"]] == [event_id], term
        assert found["count"] == 1
    for term in ("ello", '"are how"', "hello -world", "", "!!!", "-hello", "hello something"):
        found = await search(alice, term)
        assert (found["results"], found["count"]) == ([], 0), term
    found = await search(alice, "hello worl")
    assert sorted(found["highlights"]) == ["hello", "wörld"]
    assert found["results"][0]["result"]["room_id"] == room
    assert "next_batch" not in found
    assert "context" not in found["results"][0]


async def test_names_and_topics_by_their_keys(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room(name="Cheese lovers", topic="All about cheese")
    await alice.send(room, "I like cheese")
    assert len((await search(alice, "cheese"))["results"]) == 3
    for key, event_type in (("body", "m.room.message"), ("name", "m.room.name"), ("topic", "m.room.topic")):
        found = await search(alice, "cheese", keys=[f"content.{key}"])
        assert [each["result"]["type"] for each in found["results"]] == [event_type]
    found = await search(alice, "cheese", filter={"types": ["m.room.n*"]})
    assert [each["result"]["type"] for each in found["results"]] == ["m.room.name"]
    assert (await search(alice, "cheese", keys=[]))["results"] == []


async def test_only_what_one_may_see(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    shared = await alice.create_room(preset="public_chat")
    secret = await alice.create_room(preset="private_chat")
    rules = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    later = await alice.create_room(preset="public_chat", initial_state=rules)
    for room in (shared, secret, later):
        await alice.send(room, "potato early")
    await bob.join(shared)
    await bob.join(later)
    await alice.send(later, "potato in time")
    await alice.send(shared, "potato in time")
    await bob.leave(shared)
    await alice.send(shared, "potato too late")
    found = await search(bob, "potato", order_by="recent")
    assert bodies(found) == ["potato in time", "potato in time", "potato early"]
    assert {each["result"]["room_id"] for each in found["results"]} == {shared, later}
    assert bodies(await search(bob, "potato", filter={"rooms": [secret]})) == []
    await bob.post(("rooms", shared, "forget"))
    assert {each["result"]["room_id"] for each in (await search(bob, "potato"))["results"]} == {later}
    # Rooms that everybody may read are no rooms of his.
    world = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]
    await alice.send(await alice.create_room(preset="public_chat", initial_state=world), "potato for the world")
    assert len((await search(bob, "potato"))["results"]) == 1
    assert len((await search(alice, "potato"))["results"]) == 7


async def test_what_was_redacted_is_found_no_more(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    gone = await alice.send(room, "This is going to be redacted")
    stays = await alice.send(room, "This is not going to be redacted")
    assert len((await search(alice, "redacted"))["results"]) == 2
    await alice.redact(room, gone)
    for order in ("rank", "recent"):
        found = await search(alice, "redacted", order_by=order)
        assert [each["result"]["event_id"] for each in found["results"]] == [stays]
        assert found["count"] == 1
    rows = await server.application.base.database.fetch("SELECT words::text FROM search_entries")
    assert sum("redacted" in row[0] for row in rows) == 1


async def test_an_edit_is_found_by_its_new_text(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    event_id = await alice.send(room, "apples")
    edit = {
        "msgtype": "m.text",
        "body": "* pears",
        "m.new_content": {"msgtype": "m.text", "body": "pears"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
    }
    edit_id = await alice.send(room, edit)
    assert [each["result"]["event_id"] for each in (await search(alice, "pears"))["results"]] == [edit_id]


async def test_context_with_profiles_of_then(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "Old Alice"})
    for number in range(1, 8):
        await (bob if number == 3 else alice).send(room, f"Message number {number}")
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "New Alice"})
    wish = {"before_limit": 2, "after_limit": 2, "include_profile": True}
    found = await search(alice, "Message 4", order_by="recent", filter={"limit": 1}, event_context=wish)
    assert found["count"] == 1
    context = found["results"][0]["context"]
    assert [each["content"]["body"][-1] for each in context["events_before"]] == ["3", "2"]
    assert [each["content"]["body"][-1] for each in context["events_after"]] == ["5", "6"]
    assert context["profile_info"][alice.user_id] == {"displayname": "Old Alice"}
    assert bob.user_id in context["profile_info"]
    older = await alice.messages(room, **{"from": context["start"]}, limit=1)
    assert older["chunk"][0]["content"]["body"] == "Message number 1"
    newer = await alice.messages(room, **{"from": context["end"], "dir": "f"}, limit=1)
    assert newer["chunk"][0]["content"]["body"] == "Message number 7"
    none = {"before_limit": 0, "after_limit": 0}
    context = (await search(alice, "Message 4", event_context=none))["results"][0]["context"]
    assert (context["events_before"], context["events_after"]) == ([], [])
    assert "profile_info" not in context


async def test_pages_in_order_of_time(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    sent = [await alice.send(room, f"Message number {number}") for number in range(20)]
    found, pages = await search(alice, "message", order_by="recent"), []
    for _ in range(2):
        pages += [each["result"]["event_id"] for each in found["results"]]
        assert (found["count"], len(found["results"])) == (20, 10)
        found = await search(alice, "message", order_by="recent", token=found["next_batch"])
    assert pages == sent[::-1]
    assert (found["count"], found["results"]) == (20, [])
    assert "next_batch" not in found


async def test_pages_in_order_of_rank(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    for number in range(7):
        await alice.send(room, "cheese " * (number % 3 + 1) + f"and {number}")
    whole = await search(alice, "cheese", filter={"limit": 50})
    ranks = [each["rank"] for each in whole["results"]]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == 3
    pages, found = [], await search(alice, "cheese", filter={"limit": 2})
    await alice.send(room, "cheese cheese cheese cheese cheese that came later")
    while found["results"]:
        pages += bodies(found)
        if "next_batch" not in found:
            break
        found = await search(alice, "cheese", filter={"limit": 2}, token=found["next_batch"])
    assert pages == bodies(whole)


async def test_groups_go_on_by_themselves(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = [await alice.create_room(preset="public_chat") for _ in range(2)]
    for room in rooms:
        await bob.join(room)
        for number in range(4):
            await (alice if number % 2 else bob).send(room, f"plum {number}")
    grouping = {"groupings": {"group_by": [{"key": "room_id"}, {"key": "sender"}]}, "order_by": "recent"}
    found = await search(alice, "plum", filter={"limit": 6}, **grouping)
    by_room, by_sender = found["groups"]["room_id"], found["groups"]["sender"]
    assert [len(by_room[room]["results"]) for room in rooms] == [2, 4]
    assert by_room[rooms[1]]["order"] == 0
    assert sum(len(each["results"]) for each in by_sender.values()) == 6
    rest = await search(alice, "plum", filter={"limit": 6}, token=by_room[rooms[0]]["next_batch"], **grouping)
    assert bodies(rest) == ["plum 1", "plum 0"]
    assert list(rest["groups"]["room_id"]) == [rooms[0]]
    rest = await search(alice, "plum", filter={"limit": 6}, token=by_sender[bob.user_id]["next_batch"], **grouping)
    assert {each["result"]["sender"] for each in rest["results"]} == {bob.user_id}


async def test_filters(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room, other = await alice.create_room(preset="public_chat"), await alice.create_room()
    await bob.join(room)
    await alice.send(room, "fig of alice")
    liked = await bob.send(room, "fig of bob")
    await alice.send(other, "fig elsewhere")
    picture = {"msgtype": "m.image", "body": "fig.png", "url": "mxc://test/abc"}
    await alice.send(room, picture)
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": liked, "key": "x"}}
    await alice.send(room, reaction, "m.reaction")
    expected: list[tuple[dict[str, Any], set[str]]] = [
        ({"senders": [bob.user_id]}, {"fig of bob"}),
        ({"not_senders": [alice.user_id]}, {"fig of bob"}),
        ({"senders": [f"@someone{n}:test" for n in range(40)] + [bob.user_id]}, {"fig of bob"}),
        ({"rooms": [other]}, {"fig elsewhere"}),
        ({"not_rooms": [room]}, {"fig elsewhere"}),
        ({"contains_url": True}, {"fig.png"}),
        ({"contains_url": False}, {"fig of alice", "fig of bob", "fig elsewhere"}),
        ({"types": ["m.room.topic"]}, set()),
        ({"senders": []}, set()),
        ({"rooms": []}, set()),
        ({"related_by_rel_types": ["m.annotation"]}, {"fig of bob"}),
        ({"related_by_senders": [bob.user_id]}, set()),
    ]
    for event_filter, found in expected:
        assert set(bodies(await search(alice, "fig", filter=event_filter))) == found, event_filter
    await alice.put(
        ("user", alice.user_id, "account_data", "m.ignored_user_list"), {"ignored_users": {bob.user_id: {}}}
    )
    assert "fig of bob" not in bodies(await search(alice, "fig"))


async def test_rooms_that_were_upgraded_come_along(server: Server) -> None:
    alice = await server.register("alice")
    old = await alice.create_room(room_version="8")
    before = await alice.send(old, "Message before upgrade")
    new = (await alice.post(("rooms", old, "upgrade"), {"new_version": "9"}))["replacement_room"]
    after = await alice.send(new, "Message after upgrade")
    for rooms in ([new], [old, new]):
        found = await search(alice, "upgrade", filter={"rooms": rooms}, keys=["content.body"])
        assert [each["result"]["event_id"] for each in found["results"]] == [before, after]
        assert found["count"] == 2
    assert len((await search(alice, "upgrade", filter={"rooms": [old]}))["results"]) == 1
    found = await search(alice, "upgrade", filter={"rooms": [new], "not_rooms": [old]}, keys=["content.body"])
    assert [each["result"]["event_id"] for each in found["results"]] == [after]


async def test_state_of_the_rooms_of_results(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room = await alice.create_room(preset="public_chat", name="Before")
    await bob.join(room)
    await alice.send(room, "melon")
    await bob.leave(room)
    await alice.set_state(room, "m.room.name", {"name": "After"})
    for client, name in ((alice, "After"), (bob, "Before")):
        state = (await search(client, "melon", include_state=True))["state"]
        assert list(state) == [room]
        assert [each["content"]["name"] for each in state[room] if each["type"] == "m.room.name"] == [name]
    assert "state" not in await search(alice, "melon")


async def test_scripts_without_spaces(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    await alice.send(room, "明日東京タワーに行く")
    for term in ("東京", "東京タワー", "京", "行く", "く"):
        found = await search(alice, term)
        assert len(found["results"]) == 1, term
        assert found["highlights"] == [term]
    assert (await search(alice, "京東"))["results"] == []


async def test_encrypted_rooms_are_silent(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    await alice.send(
        room, {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "lemon", "body": "lemon"}, "m.room.encrypted"
    )
    await alice.send(room, {"body": "lemon"}, "org.example.other")
    assert (await search(alice, "lemon"))["results"] == []


async def test_who_is_erased_is_found_no_more(server: Server) -> None:
    alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.send(room, "cherry of alice")
    await bob.send(room, "cherry of bob")
    await carol.join(room)
    await alice.post("account/deactivate", {"auth": alice.password_auth(), "erase": True})
    for reader in (bob, carol):
        found = await search(reader, "cherry")
        assert (bodies(found), found["count"]) == (["cherry of bob"], 1)
    # Around what is found, carol does not see what was said before she came.
    wish = {"before_limit": 3}
    context = (await search(carol, "cherry", event_context=wish))["results"][0]["context"]
    assert not [each for each in context["events_before"] if "body" in each["content"]]
    context = (await search(bob, "cherry", event_context=wish))["results"][0]["context"]
    assert [each["content"]["body"] for each in context["events_before"] if "body" in each["content"]]


async def test_who_is_erased_takes_no_words_of_others_along(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks of senders have 40 bits: Mallory has found a name that has Alice's."""
    for module in (entries, indexer):
        monkeypatch.setattr(module, "sender_mark", lambda user_id: "@aaaaaaaa")
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room = await alice.create_room(preset="public_chat")
    await mallory.join(room)
    await alice.send(room, "cherry of alice")
    await mallory.send(room, "cherry of mallory")
    await mallory.post("account/deactivate", {"auth": mallory.password_auth(), "erase": True})
    assert bodies(await search(alice, "cherry")) == ["cherry of alice"]


INJECTIONS = (
    "' | '", "\\", "'", "a & b", "a | !b", "a <-> b", "a:*", "a:A", "!1", "'!1'", "#b", "@a", "((((", "))))", ":*", "<->",
    "'; DROP TABLE events; --", "$1", "%s", "\x01\x02", "a\\' | b", "\u202e", "'''", '"""', '"', "-", "--", "or", "or or",
    "- or -", "a -\"b c", "ﷺ" * 50, "İ" * 100, "a" * 1000, "a " * 500, "-a " * 300, '"' * 1000,
)  # fmt: skip


@pytest.mark.parametrize("order", ["rank", "recent"])
async def test_no_operator_comes_in(server: Server, order: str) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await bob.send(await bob.create_room(), "secret of bob b a")
    await alice.send(await alice.create_room(), "open")
    for term in INJECTIONS:
        found = await search(alice, term, order_by=order)
        assert found["results"] == [], term
    await search(alice, "a" * 1001, expect=(400, "M_INVALID_PARAM"))
    await search(alice, "a\0b", expect=(400, "M_BAD_JSON"))


async def test_tokens_of_nothing_and_of_other_searches(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    for _ in range(3):
        await alice.send(room, "kiwi")
    one = {"filter": {"limit": 1}}
    token = (await search(alice, "kiwi", **one))["next_batch"]
    refused = (400, "M_INVALID_PARAM")
    await search(alice, "other", token=token, expect=refused, **one)
    await search(bob, "kiwi", token=token, expect=refused, **one)
    await search(alice, "kiwi", token=token, expect=refused, order_by="recent", **one)
    await search(alice, "kiwi", token=token, expect=refused, filter={"limit": 1, "rooms": [room]})
    await search(alice, "kiwi", token=token, expect=refused, keys=["content.body"], **one)
    # How many are wanted may change on the way.
    await search(alice, "kiwi", token=token, filter={"limit": 2})
    for bad in ("x", "", "W10", "bnVsbA", token[:-4], token + "AAAA", "A" * 2000, "%00", "ü", "e30", "WzEsMiwzXQ"):
        await search(alice, "kiwi", token=bad, expect=refused, **one)
    identity, *_ = orjson.loads(urlsafe_b64decode(token + "=="))
    for place in ((9, 9, 1e300, 1), (9, 9, -1e300, None), (9, 9, None, 1), (9, 9, 0.5, "3"), (9, 9, 0.5, {}), (9, 9, 0.5, ""),
                  (9, 2**62, 0.5, 1), (9, True, 0.5, 1), (9, 9, 0.5, True)):  # fmt: skip
        made_up = urlsafe_b64encode(orjson.dumps([identity, *place, None, None])).decode().rstrip("=")
        await search(alice, "kiwi", token=made_up, expect=refused, **one)


async def test_bad_input(server: Server) -> None:
    alice = await server.register("alice")
    invalid, bad = (400, "M_INVALID_PARAM"), (400, "M_BAD_JSON")
    for criteria, expect in (
        ({"keys": ["content.secret"]}, invalid),
        ({"keys": "content.body"}, bad),
        ({"order_by": "size"}, bad),
        ({"filter": []}, bad),
        ({"filter": {"limit": -1}}, invalid),
        ({"filter": {"rooms": ["x"]}}, invalid),
        ({"filter": {"senders": [f"@u{n}:test" for n in range(101)]}}, invalid),
        ({"filter": {"not_senders": [f"@u{n}:test" for n in range(101)]}}, invalid),
        ({"filter": {"rooms": [f"!r{n}:test" for n in range(1001)]}}, invalid),
        ({"filter": {"types": ["*"] * 101}}, invalid),
        ({"event_context": {"before_limit": -1}}, invalid),
        ({"event_context": {"before_limit": "x"}}, bad),
        ({"event_context": 5}, bad),
        ({"groupings": {"group_by": [{"key": "type"}]}}, bad),
        ({"groupings": {"group_by": {}}}, bad),
        ({"search_term": 5}, bad),
    ):  # fmt: skip
        await search(alice, "x", expect=expect, **criteria)
    await alice.post("search", {}, expect=(400, "M_MISSING_PARAM"))
    await alice.post("search", {"search_categories": {"room_events": {}}}, expect=(400, "M_MISSING_PARAM"))
    assert await alice.post("search", {"search_categories": {}}) == {"search_categories": {}}
    await server.anonymous().post("search", {}, expect=(401, "M_MISSING_TOKEN"))
    many = {"filter": {"limit": 10**9, "rooms": [f"!r{n}:test" for n in range(1000)]}}
    assert (await search(alice, "x", event_context={"before_limit": 10**9}, **many))["results"] == []


async def test_a_search_costs_the_same_whatever_it_finds(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    database = server.application.base.database
    everything = {
        "include_state": True,
        "event_context": {"include_profile": True},
        "groupings": {"group_by": [{"key": "room_id"}, {"key": "sender"}]},
        "filter": {"limit": 50},
    }
    costs = []
    for rooms in (1, 10):
        for _ in range(rooms):
            room = await alice.create_room(preset="public_chat")
            await bob.join(room)
            for _ in range(3):
                await bob.send(room, "grape")
                await alice.send(room, "grape")
        await search(alice, "grape", **everything)
        before = database.statements
        found = await search(alice, "grape", **everything)
        costs.append(database.statements - before)
    assert len(found["results"]) == 50
    assert len(found["state"]) > 8
    assert costs[1] == costs[0] <= 8


@pytest.mark.parametrize(
    "story",
    [
        test_only_what_one_may_see,
        test_what_was_redacted_is_found_no_more,
        test_pages_in_order_of_time,
        test_pages_in_order_of_rank,
        test_groups_go_on_by_themselves,
        test_filters,
        test_rooms_that_were_upgraded_come_along,
    ],
)
async def test_the_index_by_itself_finds_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch, story: Callable[[Server], Awaitable[None]]
) -> None:
    """As in a large database, where the newest messages are not all there are."""
    monkeypatch.setattr(searching, "LOOK_AT_NEWEST", 1)
    await story(server)


async def test_a_search_that_takes_too_long_shows_what_is_new(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    await alice.send(room, "quince of old")
    await alice.send(room, "date quince")
    monkeypatch.setattr(searching, "LOOK_AT_NEWEST", 1)
    find = SearchEntries.find

    async def cancelled(entries: SearchEntries, q: Any, wish: Wish, newest: int | None = None) -> Found:
        if newest is None:
            await q.execute("SELECT pg_sleep(10)")
        return await find(entries, q, wish, newest)

    monkeypatch.setattr(SearchEntries, "find", cancelled)
    monkeypatch.setattr(searching, "TIME_LIMIT_MS", 50)
    assert bodies(await search(alice, "quince", order_by="recent")) == ["date quince"]
    await search(alice, "old", order_by="recent", expect=503)
