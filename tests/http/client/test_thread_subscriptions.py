"""Threads that Alice wants to hear of (MSC4306), and how her devices learn of it (MSC4308)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Expected, Server
from tests.http.client.test_aggregations import reply_to, two_in_a_room

UNSTABLE = ("", "_matrix", "client", "unstable")
SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
EXTENSION = "io.element.msc4308.thread_subscriptions"
NOT_IN_THREAD = "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD"
CONFLICT = "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION"


def place(room_id: str, root: str) -> tuple[str, ...]:
    return (*UNSTABLE, "io.element.msc4306", "rooms", room_id, "thread", root, "subscription")


async def subscribe(
    client: Client, room_id: str, root: str, cause: str | None = None, *, expect: Expected = 200
) -> None:
    await client.put(place(room_id, root), {} if cause is None else {"automatic": cause}, expect=expect)


async def is_automatic(client: Client, room_id: str, root: str) -> bool:
    answer: dict[str, bool] = await client.get(place(room_id, root))
    return answer["automatic"]


async def slide(client: Client, pos: str | None = None, *, limit: int = 100) -> tuple[str, dict[str, Any]]:
    body = {"extensions": {EXTENSION: {"enabled": True, "limit": limit}}}
    query = {} if pos is None else {"pos": pos}
    answer = await client.request("POST", SLIDING, json=body, query=query)
    return answer["pos"], answer["extensions"].get(EXTENSION, {})


async def test_subscriptions_are_made_and_ended(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    await alice.get(place(room_id, root), expect=(404, "M_NOT_FOUND"))
    await subscribe(alice, room_id, root)
    assert await is_automatic(alice, room_id, root) is False
    await bob.get(place(room_id, root), expect=(404, "M_NOT_FOUND"))
    assert await alice.delete(place(room_id, root)) == {}
    await alice.get(place(room_id, root), expect=(404, "M_NOT_FOUND"))
    assert await alice.delete(place(room_id, root)) == {}


async def test_what_the_user_does_himself_takes_precedence(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    mention = await bob.send(room_id, reply_to(root, "Alice?"))
    await subscribe(alice, room_id, root, mention)
    assert await is_automatic(alice, room_id, root) is True
    await subscribe(alice, room_id, root)
    assert await is_automatic(alice, room_id, root) is False
    await subscribe(alice, room_id, root, mention)
    assert await is_automatic(alice, room_id, root) is False


async def test_older_mentions_do_not_subscribe_again(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    old = await bob.send(room_id, reply_to(root, "Alice?"))
    await subscribe(alice, room_id, root, old)
    await alice.delete(place(room_id, root))
    await subscribe(alice, room_id, root, old, expect=(409, CONFLICT))
    new = await bob.send(room_id, reply_to(root, "Alice!"))
    await subscribe(alice, room_id, root, new)
    assert await is_automatic(alice, room_id, root) is True
    await alice.delete(place(room_id, root))
    await subscribe(alice, room_id, root)
    assert await is_automatic(alice, room_id, root) is False


async def test_only_events_of_the_thread_subscribe(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root, other = await alice.send(room_id, "Which cake?"), await alice.send(room_id, "Which tea?")
    elsewhere = await bob.create_room()
    hidden = await bob.send(elsewhere, "secret")
    for cause in (other, root, await bob.send(room_id, reply_to(other, "black")), "$nothing", hidden):
        await subscribe(alice, room_id, root, cause, expect=(400, NOT_IN_THREAD))
    await alice.put(place(room_id, root), {"automatic": True}, expect=(400, "M_BAD_JSON"))
    await subscribe(alice, room_id, root, "no id", expect=400)
    await alice.get(place(room_id, root), expect=(404, "M_NOT_FOUND"))


async def test_threads_that_one_may_not_see_are_not_there(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    mallory = await server.register("mallory")
    for request in (mallory.put, mallory.get, mallory.delete):
        await request(place(room_id, root), expect=(404, "M_NOT_FOUND"))
    for request in (alice.put, alice.get, alice.delete):
        await request(place(room_id, "$nothing"), expect=(404, "M_NOT_FOUND"))
        await request(place("!nowhere:x", root), expect=(404, "M_NOT_FOUND"))
    await alice.anonymous().put(place(room_id, root), {}, expect=(401, "M_MISSING_TOKEN"))


async def test_sliding_syncs_tell_what_changed(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    pos, told = await slide(alice)
    assert told == {}
    await subscribe(alice, room_id, root)
    pos, told = await slide(alice, pos)
    stamp = told["subscribed"][room_id][root]["bump_stamp"]
    assert told == {"subscribed": {room_id: {root: {"automatic": False, "bump_stamp": stamp}}}}
    # Another device, and a connection that begins anew, hear of it too.
    phone = await alice.login()
    assert (await slide(phone))[1] == told
    await alice.delete(place(room_id, root))
    pos, told = await slide(alice, pos)
    [ended] = told["unsubscribed"][room_id].values()
    assert ended["bump_stamp"] > stamp
    assert (await slide(alice, pos))[1] == {}
    # Who begins anew need not hear of what is over.
    assert (await slide(alice))[1] == {}


async def test_a_waiting_sliding_sync_wakes_up(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    pos, _ = await slide(alice)
    await subscribe(alice, room_id, root)
    body = {"extensions": {EXTENSION: {"enabled": True}}}
    answer = await alice.request("POST", SLIDING, json=body, query={"pos": pos, "timeout": 10_000})
    assert answer["extensions"][EXTENSION]["subscribed"][room_id].keys() == {root}


async def test_many_changes_are_read_page_by_page(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    roots = [await alice.send(room_id, f"Thread {number}") for number in range(5)]
    pos, _ = await slide(alice)
    for root in roots:
        await subscribe(alice, room_id, root)
    await alice.delete(place(room_id, roots[0]))
    _, told = await slide(alice, pos, limit=2)
    assert told["subscribed"][room_id].keys() == {roots[4]}
    assert told["unsubscribed"][room_id].keys() == {roots[0]}
    path = (*UNSTABLE, "io.element.msc4308", "thread_subscriptions")
    page = await alice.get(path, dir="b", limit=2, to=pos, **{"from": told["prev_batch"]})
    assert page["subscribed"][room_id].keys() == {roots[2], roots[3]}
    page = await alice.get(path, limit=2, **{"from": page["end"]})
    assert (page["subscribed"][room_id].keys(), "end" in page) == ({roots[1]}, False)
    everything = await alice.get(path)
    assert everything["subscribed"][room_id].keys() == set(roots[1:])


@pytest.mark.parametrize("query", [{"dir": "f"}, {"limit": 0}, {"from": "t1"}, {"from": "hx"}, {"to": "h" + "9" * 30}])
async def test_pages_of_nowhere_are_refused(server: Server, query: dict[str, Any]) -> None:
    alice = await server.register("alice")
    path = (*UNSTABLE, "io.element.msc4308", "thread_subscriptions")
    await alice.get(path, expect=(400, "M_INVALID_PARAM"), **query)


async def test_rooms_that_she_left_are_left_out(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    await subscribe(bob, room_id, root)
    await bob.post(("rooms", room_id, "leave"))
    assert (await slide(bob))[1] == {}


async def test_a_wake_up_without_news_asks_nothing(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    await subscribe(alice, room_id, root)
    pos, _ = await slide(alice)
    pos, _ = await slide(alice, pos)
    before = server.application.base.database.statements
    await slide(alice, pos)
    assert server.application.base.database.statements == before


# --- What is counted ---


async def unread(client: Client, room_id: str) -> dict[str, tuple[int, int]]:
    """(notifications, highlights) by thread, where there are any."""
    timeline = {"limit": 50, "unread_thread_notifications": True}
    room = (await client.sync(since=None, filter={"room": {"timeline": timeline}})).room(room_id)
    counts = {"main": room["unread_notifications"], **room.get("unread_thread_notifications", {})}
    return {
        thread: (each["notification_count"], each["highlight_count"])
        for thread, each in counts.items()
        if each["notification_count"]
    }


async def mention(client: Client, room_id: str, root: str, user_id: str) -> None:
    await client.send(room_id, {**reply_to(root, "you"), "m.mentions": {"user_ids": [user_id]}})


async def test_who_subscribes_hears_of_those_threads_only(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    carol = await server.register("carol")
    await carol.join(room_id)
    one, two = await bob.send(room_id, "Thread one"), await bob.send(room_id, "Thread two")
    await subscribe(alice, room_id, one)
    for root in (one, two):
        await bob.send(room_id, reply_to(root, "more"))
    assert await unread(alice, room_id) == {"main": (2, 0), one: (1, 0)}
    # To those whose clients know nothing of subscriptions all is as it was.
    assert await unread(carol, room_id) == {"main": (2, 0), one: (1, 0), two: (1, 0)}
    # Mentions count in any thread.
    await mention(bob, room_id, two, alice.user_id)
    assert await unread(alice, room_id) == {"main": (2, 0), one: (1, 0), two: (1, 1)}
    await alice.delete(place(room_id, one))
    await bob.send(room_id, reply_to(one, "not for Alice"))
    assert await unread(alice, room_id) == {"main": (2, 0), one: (1, 0), two: (1, 1)}


async def test_a_subscribed_thread_is_heard_in_a_quiet_room(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await bob.send(room_id, "Thread")
    await alice.put(("pushrules", "global", "room", room_id), {"actions": []})
    await subscribe(alice, room_id, root)
    await bob.send(room_id, "not for Alice")
    await bob.send(room_id, reply_to(root, "for Alice"))
    counts = await unread(alice, room_id)
    assert counts[root] == (1, 0)
    # The rule can be turned off.
    path = ("pushrules", "global", "postcontent", ".io.element.msc4306.rule.subscribed_thread", "enabled")
    await alice.put(path, {"enabled": False})
    await bob.send(room_id, reply_to(root, "not for Alice either"))
    assert await unread(alice, room_id) == counts


async def test_rules_for_threads_are_shown_and_not_added(server: Server) -> None:
    alice = await server.register("alice")
    rules = (await alice.get("pushrules/"))["global"]["postcontent"]
    assert [rule["rule_id"].rpartition(".")[2] for rule in rules] == ["unsubscribed_thread", "subscribed_thread"]
    body = {"actions": ["notify"], "conditions": []}
    await alice.put("pushrules/global/postcontent/mine", body, expect=(400, "M_INVALID_PARAM"))


async def test_plain_messages_cost_no_statement_for_subscriptions(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await bob.send(room_id, "Thread")
    database = server.application.base.database

    async def statements(content: Any) -> int:
        before = database.statements
        await bob.send(room_id, content)
        return database.statements - before

    plain, threaded = await statements("hello"), await statements(reply_to(root, "hello"))
    await subscribe(alice, room_id, root)
    assert await statements("hello") == plain
    # Who is subscribed is asked once, and then known.
    assert await statements(reply_to(root, "hello")) == threaded + 1
    assert await statements(reply_to(root, "hello")) == threaded
