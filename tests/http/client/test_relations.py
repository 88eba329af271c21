"""Events that relate to one, page by page, and the threads of a room."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from homeserver.storage.aggregations import NEW_CONTENT, READ
from homeserver.storage.relations import CHILDREN_TEXTS, THREADS, TREE_TEXTS
from tests.cast import Client, Server
from tests.http.client.test_aggregations import edit_of, ids_in, reference_to, reply_to, two_in_a_room


def reaction_to(event_id: str, key: str = "👍") -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": key}}


async def related(client: Client, room_id: str, event_id: str, *path: str, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await client.get((*ROOT, room_id, "relations", event_id, *path), **query)
    return answer


async def threads(client: Client, room_id: str, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await client.get((*ROOT, room_id, "threads"), **query)
    return answer


ROOT = ("", "_matrix", "client", "v1", "rooms")


def ids(page: dict[str, Any]) -> list[str]:
    return [event["event_id"] for event in page["chunk"]]


async def test_children_come_newest_first_by_kind_and_type(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "Cake?")
    reaction = await bob.send(room_id, reaction_to(said), "m.reaction")
    edit = await alice.send(room_id, edit_of(said, "Cake!"))
    reply = await bob.send(room_id, reply_to(said, "yes"))
    await alice.send(room_id, "something else")
    assert ids(await related(bob, room_id, said)) == [reply, edit, reaction]
    assert ids(await related(bob, room_id, said, dir="f")) == [reaction, edit, reply]
    assert ids(await related(bob, room_id, said, "m.annotation")) == [reaction]
    assert ids(await related(bob, room_id, said, "m.annotation", "m.reaction")) == [reaction]
    assert ids(await related(bob, room_id, said, "m.annotation", "m.room.message")) == []
    assert ids(await related(bob, room_id, said, "org.example.other")) == []
    page = await related(bob, room_id, said)
    assert {event["room_id"] for event in page["chunk"]} == {room_id}
    assert page.keys() == {"chunk"}


@pytest.mark.parametrize("direction", ["b", "f"])
async def test_pages_show_every_child_once(server: Server, direction: str) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    replies = [await bob.send(room_id, reply_to(root, str(number))) for number in range(7)]
    found: list[str] = []
    page = await related(alice, room_id, root, "m.thread", limit=3, dir=direction)
    assert "prev_batch" not in page
    while True:
        found += ids(page)
        if "next_batch" not in page:
            break
        start = page["next_batch"]
        page = await related(alice, room_id, root, "m.thread", limit=3, dir=direction, **{"from": start})
        assert page["prev_batch"] == start
    assert found == (replies if direction == "f" else replies[::-1])


async def test_a_page_ends_where_it_is_told_to(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    await bob.send(room_id, reply_to(root, "one"))
    middle = (await alice.messages(room_id, limit=1))["start"]
    second = await bob.send(room_id, reply_to(root, "two"))
    assert ids(await related(alice, room_id, root, to=middle)) == [second]
    assert ids(await related(alice, room_id, root, dir="f", **{"from": middle})) == [second]
    # Tokens of syncs are places too.
    synced = (await alice.sync(since=None))["next_batch"]
    await bob.send(room_id, reply_to(root, "three"))
    assert ids(await related(alice, room_id, root, limit=1, **{"from": synced})) == [second]


async def test_recursion_goes_down_three_levels(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    reply = await bob.send(room_id, reply_to(root, "nuts"))
    edit = await bob.send(room_id, edit_of(reply, "no nuts"))
    reaction = await alice.send(room_id, reaction_to(edit), "m.reaction")
    too_deep = await alice.send(room_id, reference_to(reaction))
    assert ids(await related(alice, room_id, root)) == [reply]
    page = await related(alice, room_id, root, recurse="true")
    assert (ids(page), page["recursion_depth"]) == ([reaction, edit, reply], 3)
    assert ids(await related(alice, room_id, root, recurse="true", dir="f", limit=2)) == [reply, edit]
    assert too_deep not in ids(page)
    # "Events [...] whose only relation to the original given event is through a non-matching intermediate event, will not
    # be included."
    assert ids(await related(alice, room_id, root, "m.thread", recurse="true")) == [reply]
    assert ids(await related(alice, room_id, root, "m.annotation", recurse="true")) == []
    assert (await related(alice, room_id, root, recurse="false"))["recursion_depth"] == 1


async def test_children_have_their_own_aggregations(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    reply = await bob.send(room_id, reply_to(root, "nuts"))
    edit = await bob.send(room_id, edit_of(reply, "no nuts"))
    [event] = (await related(alice, room_id, root, "m.thread"))["chunk"]
    assert ids_in(event["unsigned"]["m.relations"]) == {"edit": edit}


async def test_a_redacted_child_is_related_no_more_and_a_redacted_parent_still_has_children(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "Cake?")
    kept = await bob.send(room_id, reaction_to(said), "m.reaction")
    gone = await bob.send(room_id, reaction_to(said, "👎"), "m.reaction")
    await bob.redact(room_id, gone)
    await alice.redact(room_id, said)
    assert ids(await related(alice, room_id, said)) == [kept]


async def test_what_the_reader_may_not_see_is_not_there(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await alice.put(("rooms", room_id, "state", "m.room.history_visibility"), {"history_visibility": "joined"})
    said = await alice.send(room_id, "Cake?")
    seen = await alice.send(room_id, reaction_to(said), "m.reaction")
    await bob.post(("rooms", room_id, "leave"))
    await alice.send(room_id, reaction_to(said, "👎"), "m.reaction")
    assert ids(await related(bob, room_id, said)) == [seen]
    secret = await alice.send(room_id, "Without Bob")
    await alice.send(room_id, reaction_to(secret), "m.reaction")
    await bob.get((*ROOT, room_id, "relations", secret), expect=(404, "M_NOT_FOUND"))
    mallory = await server.register("mallory")
    await mallory.get((*ROOT, room_id, "relations", said), expect=(404, "M_NOT_FOUND"))
    await mallory.get((*ROOT, room_id, "threads"), expect=(403, "M_FORBIDDEN"))
    await bob.join(room_id)
    assert len((await related(bob, room_id, said))["chunk"]) == 1


async def test_messages_of_ignored_users_are_left_out(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    mallory = await server.register("mallory")
    await mallory.join(room_id)
    said = await alice.send(room_id, "Cake?")
    await mallory.send(room_id, reply_to(said, "poison"))
    of_mallory = await mallory.send(room_id, "My thread")
    await mallory.send(room_id, edit_of(of_mallory, "poison again"))
    answer = await alice.send(room_id, reply_to(of_mallory, "no"))
    ignored = {"ignored_users": {mallory.user_id: {}}}
    await bob.put(("user", bob.user_id, "account_data", "m.ignored_user_list"), ignored)
    assert ids(await related(bob, room_id, said)) == []
    # A thread of nobody but ignored users is none; one that such a user began is told without what he said.
    [root] = (await threads(bob, room_id))["chunk"]
    assert (root["event_id"], root["content"]) == (of_mallory, {})
    assert ids_in(root["unsigned"]["m.relations"]) == {"thread": (answer, {}, (1, False))}
    assert ids(await threads(alice, room_id)) == [of_mallory, said]


async def test_threads_come_by_their_newest_reply(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    roots = [await alice.send(room_id, f"Thread {number}") for number in range(4)]
    for root in roots:
        await alice.send(room_id, reply_to(root, "first"))
    latest = await bob.send(room_id, reply_to(roots[1], "again"))
    page = await threads(alice, room_id)
    order = [roots[1], roots[3], roots[2], roots[0]]
    assert ids(page) == order
    assert "next_batch" not in page
    assert ids_in(page["chunk"][0]["unsigned"]["m.relations"]) == {"thread": (latest, {}, (2, True))}
    first = await threads(alice, room_id, limit=3)
    rest = await threads(alice, room_id, limit=3, **{"from": first["next_batch"]})
    assert (ids(first) + ids(rest), "next_batch" in rest) == (order, False)
    assert ids(await threads(bob, room_id, include="participated")) == [roots[1]]
    assert ids(await threads(bob, room_id, include="all")) == order
    # A redacted reply gives its place back.
    await bob.redact(room_id, latest)
    assert ids(await threads(alice, room_id)) == roots[::-1]
    assert ids(await threads(bob, room_id, include="participated")) == []


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({"limit": 0}, "M_INVALID_PARAM"),
        ({"limit": "many"}, "M_INVALID_PARAM"),
        ({"from": "made up"}, "M_INVALID_PARAM"),
        ({"from": "t" + "9" * 30}, "M_INVALID_PARAM"),
    ],
)
async def test_bad_parameters_are_refused(server: Server, query: dict[str, Any], errcode: str) -> None:
    alice, _, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "Cake?")
    await alice.get((*ROOT, room_id, "relations", said), expect=(400, errcode), **query)
    await alice.get((*ROOT, room_id, "threads"), expect=(400, errcode), **query)


async def test_other_bad_parameters_are_refused(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "Cake?")
    path = (*ROOT, room_id, "relations", said)
    bad: list[dict[str, Any]] = [{"dir": "x"}, {"to": "x"}, {"recurse": "maybe"}]
    for query in bad:
        await alice.get(path, expect=(400, "M_INVALID_PARAM"), **query)
    await alice.get((*ROOT, room_id, "threads"), expect=(400, "M_INVALID_PARAM"), include="none")
    await alice.get((*ROOT, room_id, "relations", "$nothing"), expect=(404, "M_NOT_FOUND"))
    await alice.get((*ROOT, "!nowhere:x", "relations", said), expect=(404, "M_NOT_FOUND"))


async def test_a_token_of_another_room_shows_nothing_of_it(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "Which cake?")
    reply = await bob.send(room_id, reply_to(root, "nuts"))
    elsewhere = await alice.create_room()
    await alice.send(elsewhere, "hello")
    token = (await alice.messages(elsewhere, limit=1))["start"]
    assert ids(await related(alice, room_id, root, **{"from": token})) == [reply]
    assert ids(await threads(alice, elsewhere, **{"from": token})) == []


async def test_a_room_can_be_read_without_joining_where_all_may(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    await alice.put(("rooms", room_id, "state", "m.room.history_visibility"), {"history_visibility": "world_readable"})
    root = await alice.send(room_id, "Which cake?")
    reply = await alice.send(room_id, reply_to(root, "nuts"))
    carol = await server.register("carol")
    assert ids(await related(carol, room_id, root)) == [reply]
    assert ids(await threads(carol, room_id)) == [root]


async def test_ten_thousand_reactions_cost_a_page(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    said = await alice.send(room_id, "Cake?")
    first = await bob.send(room_id, reaction_to(said), "m.reaction")
    database = server.application.base.database
    await database.execute(
        """
        WITH many AS (
            INSERT INTO events (event_nid, room_nid, position, depth, origin_server_ts, flags, event_id, type, sender, body,
                                envelope)
            SELECT -n, e.room_nid, -n, 1, 1, 0, '$many' || n, e.type, e.sender,
                   convert_to(replace(convert_from(e.body, 'UTF8'), e.event_id, '$many' || n), 'UTF8'), e.envelope
            FROM events e, generate_series(1, 11000) n WHERE e.event_id = $1
            RETURNING *
        )
        INSERT INTO relations (event_nid, room_nid, position, parent_id, rel_type, type, sender, aggregation_key)
        SELECT event_nid, room_nid, position, $2, 'm.annotation', type, sender, event_id FROM many
        """,
        first,
        said,
    )
    before = database.statements
    page = await related(alice, room_id, said, limit=1000)
    assert (len(page["chunk"]), ids(page)[0]) == (1000, first)
    assert database.statements - before <= 4
    # A page of what is not there looks at 10,000 children, and says where to go on.
    page = await related(alice, room_id, said, "m.annotation", "m.room.message")
    assert page["chunk"] == []
    rest = await related(alice, room_id, said, "m.annotation", "m.room.message", **{"from": page["next_batch"]})
    assert (rest["chunk"], "next_batch" in rest) == ([], False)
    assert len((await related(alice, room_id, said, recurse="true", limit=5))["chunk"]) == 5


async def test_events_that_relate_to_each_other_in_a_circle_end_nowhere_but_here(server: Server) -> None:
    """Ids of old room versions can be foreseen: other servers may send such events."""
    alice, bob, room_id = await two_in_a_room(server)
    one = await alice.send(room_id, "one")
    two = await bob.send(room_id, reply_to(one, "two"))
    await bob.send(room_id, reference_to(two))
    await server.application.base.database.execute(
        """
        INSERT INTO relations (event_nid, room_nid, position, parent_id, rel_type, type, sender)
        SELECT event_nid, room_nid, position, $2, 'm.thread', type, sender FROM events WHERE event_id = $1
        """,
        one,
        two,
    )
    page = await related(alice, room_id, one, recurse="true")
    assert len(ids(page)) == len(set(ids(page))) == 2
    assert one not in ids(page)
    # Neither can be a root now, and nothing is told within itself.
    assert ids(await threads(alice, room_id)) == []
    for event in (await alice.messages(room_id, limit=50))["chunk"]:
        assert "m.thread" not in event["unsigned"].get("m.relations", {})


async def test_events_of_other_rooms_neither_hide_a_thread_nor_have_to_be_gone_through(server: Server) -> None:
    """Mallory's server sends what it likes in a room of hers, to an event that it has seen in Alice's room."""
    alice, bob, room_id = await two_in_a_room(server)
    mallory = await server.register("mallory")
    elsewhere = await mallory.create_room()
    template = await mallory.send(elsewhere, "noise")
    root = await alice.send(room_id, "Cake?")
    reply = await alice.send(room_id, reply_to(root, "Yes"))
    database = server.application.base.database
    await database.execute(
        """
        INSERT INTO relations (event_nid, room_nid, position, parent_id, rel_type, type, sender)
        SELECT 1000000 + n, e.room_nid, 1000000 + n, $2, kind, e.type, e.sender
        FROM events e, generate_series(1, 15000) n, unnest(ARRAY['m.thread', 'm.reference']) AS kind
        WHERE e.event_id = $1 AND (n % 2 = 0) = (kind = 'm.thread')
        """,
        template,
        root,
    )
    ignored = {"ignored_users": {mallory.user_id: {}}}
    await bob.put(("user", bob.user_id, "account_data", "m.ignored_user_list"), ignored)
    for reader in (alice, bob):
        [shown] = (await threads(reader, room_id))["chunk"]
        assert ids_in(shown["unsigned"]["m.relations"])["thread"] == (reply, {}, (1, reader is alice))
        assert ids(await related(reader, room_id, root)) == [reply]
    await database.execute("ANALYZE relations")
    nid, room_nid = (await database.fetch("SELECT event_nid, room_nid FROM events WHERE event_id = $1", root))[0]
    parent = ([nid], [root], [room_nid], [alice.user_id], ["m.room.message"], ["{(,)}"], [False], [False])
    wish = (root, room_nid, 0, 10_000_000, "{(,)}", [], None, 20)
    for statement, arguments in (
        (READ, (*parent, alice.user_id, [], NEW_CONTENT)),
        (THREADS, (room_nid, 10_000_000, "{(,)}", [], alice.user_id, False, 20)),
        (CHILDREN_TEXTS[False, True], wish),
        (CHILDREN_TEXTS[True, True], (*wish, "m.reference")),
        (TREE_TEXTS[True, True], (*wish, "m.reference")),
    ):
        plan = orjson.loads(await database.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments))
        assert passed_over(plan[0]["Plan"]) < 100, plan


def passed_over(node: dict[str, Any]) -> int:
    """Rows that the plan read for nothing."""
    return int(node.get("Rows Removed by Filter", 0)) + sum(map(passed_over, node.get("Plans", ())))
