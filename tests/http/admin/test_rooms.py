"""Ada, an administrator, looks at rooms that she is not in."""

from __future__ import annotations

from typing import Any

from tests.cast import PASSWORD, Client, Server

ROOMS = "/_synapse/admin/v1/rooms"
AUDIT = "/_voicechat/admin/v1/audit"


def of(room_id: str, *parts: str) -> tuple[str, ...]:
    return ("", "_synapse", "admin", "v1", "rooms", room_id, *parts)


async def listed(ada: Client, **query: Any) -> list[str]:
    return [room["name"] for room in (await ada.get(ROOMS, **query))["rooms"]]


async def town(server: Server) -> tuple[Client, Client, dict[str, str]]:
    """A public hall with two members, an encrypted den, a space that has both, and a room that everybody left."""
    alice, bob = await server.register("alice"), await server.register("bob")
    hall = await alice.create_room(
        name="Hall", topic="Tea", preset="public_chat", visibility="public", room_alias_name="lobby"
    )
    await bob.join(hall)
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    den = await bob.create_room(name="den", initial_state=[encryption], creation_content={"m.federate": False})
    space = await alice.create_room(name="Space", creation_content={"type": "m.space"}, room_version="10")
    for child in (hall, den):
        await alice.set_state(space, "m.space.child", {"via": ["test"]}, child)
    empty = await bob.create_room()
    await bob.leave(empty)
    return alice, bob, {"hall": hall, "den": den, "space": space, "empty": empty}


async def test_a_room_is_listed_as_synapse_lists_it(server: Server, ada: Client) -> None:
    _, _, rooms = await town(server)
    answer = await ada.get(ROOMS, search_term="Hall")
    assert (answer["offset"], answer["total_rooms"]) == (0, 1)
    (hall,) = answer["rooms"]
    assert hall == {
        "room_id": rooms["hall"], "name": "Hall", "canonical_alias": "#lobby:test", "joined_members": 2,
        "joined_local_members": 2, "version": "12", "creator": "@alice:test", "encryption": None, "federatable": True,
        "public": True, "join_rules": "public", "guest_access": None, "history_visibility": "shared",
        "state_events": hall["state_events"], "room_type": None,
    }  # fmt: skip
    alice_sees = await server.anonymous().login("alice", PASSWORD)
    assert hall["state_events"] == len(await alice_sees.get(("rooms", rooms["hall"], "state")))
    by_name = {room["name"]: room for room in (await ada.get(ROOMS))["rooms"]}
    assert (by_name["den"]["encryption"], by_name["den"]["federatable"]) == ("m.megolm.v1.aes-sha2", False)
    assert (by_name["Space"]["room_type"], by_name["Space"]["version"]) == ("m.space", "10")


async def test_rooms_are_searched_and_filtered(server: Server, ada: Client) -> None:
    _, _, rooms = await town(server)
    assert await listed(ada) == ["den", "Hall", "Space", None]
    assert await listed(ada, search_term="SPA") == ["Space"]
    assert await listed(ada, search_term="LOBB") == ["Hall"]
    assert await listed(ada, search_term="%") == []
    assert await listed(ada, search_term=rooms["den"]) == ["den"]
    assert await listed(ada, search_term=rooms["den"].swapcase()) == []
    assert await listed(ada, public_rooms=True) == ["Hall"]
    assert await listed(ada, public_rooms=False) == ["den", "Space", None]
    assert await listed(ada, empty_rooms=True) == [None]
    assert await listed(ada, empty_rooms=False) == ["den", "Hall", "Space"]


async def test_rooms_come_in_many_orders(server: Server, ada: Client) -> None:
    await town(server)
    assert (await listed(ada, order_by="joined_members"))[0] == "Hall"
    assert (await listed(ada, order_by="size", dir="b"))[-1] == "Hall"
    assert (await listed(ada, order_by="version"))[-1] == "Space"
    assert (await listed(ada, order_by="encryption"))[0] == "den"
    assert (await listed(ada, order_by="federatable"))[0] == "den"
    assert (await listed(ada, order_by="public"))[-1] == "Hall"
    assert (await listed(ada, order_by="state_events"))[-1] is None
    everywhere = ["name", "alphabetical", "canonical_alias", "joined_members", "size", "joined_local_members", "version",
                  "creator", "encryption", "federatable", "public", "join_rules", "guest_access", "history_visibility",
                  "state_events"]  # fmt: skip
    for order in everywhere:
        for direction in ("f", "b"):
            found = await listed(ada, order_by=order, dir=direction)
            assert len(found) == 4
            assert set(found) == {"Hall", None, "Space", "den"}


async def test_pages_follow_each_other(server: Server, ada: Client) -> None:
    await town(server)
    first = await ada.get(ROOMS, limit=3)
    assert (first["next_batch"], first["total_rooms"]) == (3, 4)
    assert "prev_batch" not in first
    last = await ada.get(ROOMS, limit=3, **{"from": first["next_batch"]})
    assert (last["offset"], last["prev_batch"], len(last["rooms"])) == (3, 0, 1)
    assert "next_batch" not in last


async def test_listing_costs_the_same_for_any_number_of_rooms(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    database = server.application.base.database

    async def cost() -> int:
        """The least of several times: other work of the server is counted too."""
        costs = []
        for _ in range(4):
            before = database.statements
            await ada.get(ROOMS, order_by="joined_members", search_term="room", public_rooms=False)
            costs.append(int(database.statements - before))
        return min(costs)

    await alice.create_room(name="room")
    assert await cost() == 8
    for number in range(5):
        await alice.create_room(name=f"room {number}")
    assert await cost() == 8


async def test_a_room_in_detail(server: Server, ada: Client) -> None:
    alice, bob, rooms = await town(server)
    await bob.login()
    hall = await ada.get(of(rooms["hall"]))
    assert (hall["topic"], hall["avatar"], hall["joined_local_devices"]) == ("Tea", None, 3)
    assert (hall["forgotten"], hall["tombstoned"], hall["replacement_room"]) == (False, False, None)
    newer = (await alice.post(("rooms", rooms["hall"], "upgrade"), {"new_version": "11"}))["replacement_room"]
    hall = await ada.get(of(rooms["hall"]))
    assert (hall["tombstoned"], hall["replacement_room"]) == (True, newer)
    await bob.post(("rooms", rooms["empty"], "forget"))
    empty = await ada.get(of(rooms["empty"]))
    assert (empty["forgotten"], empty["joined_members"], empty["joined_local_devices"]) == (True, 0, 0)
    assert await ada.get(of(rooms["den"], "members")) == {"members": [bob.user_id], "total": 1}


async def test_state_is_shown_to_who_is_not_there(server: Server, ada: Client) -> None:
    _, bob, rooms = await town(server)
    state = (await ada.get(of(rooms["den"], "state")))["state"]
    assert {"m.room.create", "m.room.encryption", "m.room.member"} <= {event["type"] for event in state}
    (member,) = (await ada.get(of(rooms["den"], "state"), type="m.room.member"))["state"]
    assert (member["state_key"], member["content"]["membership"]) == (bob.user_id, "join")
    assert member["room_id"] == rooms["den"]


async def test_messages_are_read_and_that_is_recorded(server: Server, ada: Client) -> None:
    _, bob, rooms = await town(server)
    sent = [await bob.send(rooms["den"], f"secret {number}") for number in range(5)]
    await bob.set_state(rooms["den"], "m.room.history_visibility", {"history_visibility": "joined"})
    page = await ada.get(of(rooms["den"], "messages"), dir="b", limit=3)
    assert [event["event_id"] for event in page["chunk"]][1:] == [sent[4], sent[3]]
    older = await ada.get(of(rooms["den"], "messages"), dir="b", limit=2, **{"from": page["end"]})
    assert [event["event_id"] for event in older["chunk"]] == [sent[2], sent[1]]
    first = await ada.get(of(rooms["den"], "messages"), limit=1)
    assert first["chunk"][0]["type"] == "m.room.create"
    context = await ada.get(of(rooms["den"], "context", sent[2]), limit=2)
    assert context["event"]["content"]["body"] == "secret 2"
    assert [event["event_id"] for event in context["events_before"]] == [sent[1]]
    assert [event["event_id"] for event in context["events_after"]] == [sent[3]]
    whole = (await ada.get(("", "_synapse", "admin", "v1", "fetch_event", sent[0])))["event"]
    assert (whole["event_id"], whole["room_id"], whole["sender"]) == (sent[0], rooms["den"], bob.user_id)
    assert {"auth_events", "prev_events", "hashes", "signatures", "depth"} <= set(whole)
    actions = [each["action"] for each in (await ada.get(AUDIT, target=rooms["den"]))["entries"]]
    assert actions == ["room.read_event", "room.read_context"] + ["room.read_messages"] * 3
    await ada.get(of(rooms["den"], "context", "$nothing"), expect=(404, "M_NOT_FOUND"))
    await ada.get("/_synapse/admin/v1/fetch_event/$nothing", expect=(404, "M_NOT_FOUND"))
    await ada.get(("rooms", rooms["den"], "messages"), dir="b", expect=(403, "M_FORBIDDEN"))


async def test_erased_words_and_ignored_people_are_shown_too(server: Server, ada: Client) -> None:
    _, bob, rooms = await town(server)
    sent = await bob.send(rooms["den"], "threats")
    await ada.put(("user", ada.user_id, "account_data", "m.ignored_user_list"), {"ignored_users": {bob.user_id: {}}})
    await ada.post(f"/_synapse/admin/v1/deactivate/{bob.user_id}", {"erase": True})
    context = await ada.get(of(rooms["den"], "context", sent))
    assert context["event"]["content"]["body"] == "threats"
    page = await ada.get(of(rooms["den"], "messages"), dir="b")
    assert sent in [event["event_id"] for event in page["chunk"]]


async def test_a_moment_is_found(server: Server, ada: Client) -> None:
    _, bob, rooms = await town(server)
    server.clock.advance(hours=1)
    sent = await bob.send(rooms["den"], "noon")
    found = await ada.get(of(rooms["den"], "timestamp_to_event"), ts=server.clock.now_ms() - 5)
    assert found == {"event_id": sent, "origin_server_ts": server.clock.now_ms()}
    earlier = await ada.get(of(rooms["den"], "timestamp_to_event"), ts=server.clock.now_ms() - 5, dir="b")
    assert earlier["event_id"] != sent
    await ada.get(of(rooms["den"], "timestamp_to_event"), expect=(400, "M_MISSING_PARAM"))


async def test_a_space_shows_what_is_closed(server: Server, ada: Client) -> None:
    _, _, rooms = await town(server)
    answer = await ada.get(of(rooms["space"], "hierarchy"))
    assert answer["rooms"][0]["room_id"] == rooms["space"]
    assert {room["name"] for room in answer["rooms"]} == {"Space", "Hall", "den"}
    page = await ada.get(of(rooms["space"], "hierarchy"), limit=2)
    rest = await ada.get(of(rooms["space"], "hierarchy"), limit=2, **{"from": page["next_batch"]})
    assert len(page["rooms"]) + len(rest["rooms"]) == 3
    assert len((await ada.get(of(rooms["space"], "hierarchy"), max_depth=0))["rooms"]) == 1
    await ada.get(of(rooms["space"], "hierarchy"), **{"from": "x"}, expect=(400, "M_INVALID_PARAM"))


async def test_what_other_servers_wrote_into_state_does_no_harm(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(name="Hall")
    await alice.set_state(room_id, "m.room.topic", {"topic": {"not": "text"}})
    await alice.set_state(room_id, "m.room.history_visibility", {"history_visibility": "by moonlight"})
    database = server.application.base.database
    await database.execute(
        "UPDATE events SET body = $2 WHERE event_nid = (SELECT event_nid FROM current_state WHERE type = $1)",
        "m.room.name",
        b'{"content":{"name":"nul \\u0000 and \\ud800"},"type":"m.room.name"}',
    )
    room = await ada.get(of(room_id))
    assert (room["name"], room["topic"], room["history_visibility"]) == (None, None, None)
    assert await listed(ada, search_term="nul") == []
    assert await listed(ada) == [None]


async def test_the_largest_rooms_are_guessed(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    small, large = await alice.create_room(), await alice.create_room()
    for number in range(30):
        await alice.send(large, f"message {number}")
    await server.application.base.database.execute("ANALYZE events")
    rooms = (await ada.get("/_synapse/admin/v1/statistics/database/rooms"))["rooms"]
    assert [room["room_id"] for room in rooms] == [large, small]
    assert rooms[0]["estimated_size"] > rooms[1]["estimated_size"] > 0


READS = ("", "members", "state", "messages", "context", "timestamp_to_event", "hierarchy")


def reads(room_id: str) -> list[tuple[str, ...]]:
    more = {"": (), "context": ("context", "$event")}
    return [of(room_id, *more.get(what, (what,))) for what in READS]


async def test_rooms_that_are_not_here(ada: Client) -> None:
    for room_id in ("!nowhere:test", "nonsense", "!" + "x" * 300):
        for path in reads(room_id):
            await ada.get(path, ts=1, expect=(404, "M_NOT_FOUND"))


async def test_members_are_no_administrators(server: Server) -> None:
    mallory = await server.register("mallory")
    ours = ("/_synapse/admin/v1/fetch_event/$x", "/_synapse/admin/v1/statistics/database/rooms")
    for path in (*reads(await mallory.create_room()), ROOMS, *ours):
        await mallory.get(path, expect=(403, "M_FORBIDDEN"))


async def test_wrong_queries_are_refused(server: Server, ada: Client) -> None:
    lists: list[dict[str, Any]] = [
        {"order_by": "beauty"}, {"dir": "x"}, {"from": -1}, {"limit": "x"}, {"public_rooms": "x"}, {"empty_rooms": "1"},
    ]  # fmt: skip
    for query in lists:
        await ada.get(ROOMS, **query, expect=(400, "M_INVALID_PARAM"))
    alice = await server.register("alice")
    messages = of(await alice.create_room(), "messages")
    pages: list[dict[str, Any]] = [{"from": "made-up"}, {"dir": "x"}, {"limit": -1}, {"filter": "{"}, {"filter": "[]"}]
    for query in pages:
        await ada.get(messages, **query, expect=400)
