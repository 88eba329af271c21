"""Alice and Bob talk; Mallory tries what she may not."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.cast import Server


async def test_the_same_transaction_is_one_event(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    first = await alice.send(room_id, "once", txn_id="t1")
    assert await alice.send(room_id, "once", txn_id="t1") == first
    assert await alice.send(room_id, "twice", txn_id="t2") != first


async def test_a_transaction_belongs_to_its_device_and_its_room(server: Server) -> None:
    alice = await server.register("alice")
    tablet = await alice.login()
    room_id, other = await alice.create_room(), await alice.create_room()
    first = await alice.send(room_id, "hello", txn_id="t")
    assert await tablet.send(room_id, "hello", txn_id="t") != first
    assert await alice.send(other, "hello", txn_id="t") != first


async def test_without_a_transaction_every_request_is_an_event(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room()
    path, body = ("rooms", room_id, "send", "m.room.message"), {"msgtype": "m.text", "body": "hello"}
    first, second = [(await alice.post(path, body))["event_id"] for _ in range(2)]
    assert first != second
    await mallory.post(path, body, expect=(403, "M_FORBIDDEN"))


async def test_equal_requests_at_the_same_time_are_one_event(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    ids = await asyncio.gather(*(alice.send(room_id, "hello", txn_id="t") for _ in range(5)))
    assert len(set(ids)) == 1


async def test_mallory_cannot_tell_rooms_she_is_not_in_from_rooms_that_do_not_exist(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room()
    for room in (room_id, "!nowhere:test", "nonsense"):
        path = ("rooms", room, "send", "m.room.message", "t")
        await mallory.put(path, {"msgtype": "m.text", "body": "hi"}, expect=(403, "M_FORBIDDEN"))
        await mallory.set_state(room, "m.room.topic", {"topic": "mine"}, expect=(403, "M_FORBIDDEN"))
        await mallory.put(("rooms", room, "redact", "$event", "t"), {}, expect=(403, "M_FORBIDDEN"))


async def test_an_event_that_is_too_large_is_refused(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    path = ("rooms", room_id, "send", "m.room.message", "t")
    await alice.put(path, {"msgtype": "m.text", "body": "x" * 70_000}, expect=(413, "M_TOO_LARGE"))
    await alice.put(("rooms", room_id, "send", "x" * 256, "t"), {}, expect=(413, "M_TOO_LARGE"))
    await alice.put(path, {"msgtype": "m.text", "body": "x" * 60_000})


async def test_content_must_be_canonical_json(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    for number in (1.5, 2**53):
        await alice.put(("rooms", room_id, "send", "m.test", "t"), {"n": number}, expect=(400, "M_BAD_JSON"))


async def test_nobody_creates_a_room_twice(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.set_state(room_id, "m.room.create", {}, expect=(403, "M_FORBIDDEN"))
    await alice.put(("rooms", room_id, "send", "m.room.create", "t"), {}, expect=(400, "M_BAD_JSON"))


async def test_state_that_stays_the_same_is_not_set_again(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    first = await alice.set_state(room_id, "m.room.topic", {"topic": "Tea"})
    assert await alice.set_state(room_id, "m.room.topic", {"topic": "Tea"}) == first
    assert await alice.set_state(room_id, "m.room.topic", {"topic": "Coffee"}) != first
    assert await alice.put(("rooms", room_id, "state", "m.room.topic"), {"topic": "Tea"}) != first


async def test_state_under_a_name_belongs_to_that_user(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    path = "org.matrix.msc3401.call.member"
    await bob.set_state(room_id, path, {"application": "m.call"}, bob.user_id)
    await bob.set_state(room_id, path, {"application": "m.call"}, alice.user_id, expect=(403, "M_FORBIDDEN"))
    await bob.set_state(room_id, "m.room.name", {"name": "Bob's"}, expect=(403, "M_FORBIDDEN"))


async def test_power_levels_that_nobody_can_read_are_refused(server: Server) -> None:
    alice = await server.register("alice")
    for version in ("1", "12"):
        room_id = await alice.create_room(room_version=version)
        bad: list[dict[str, Any]] = [{"ban": "banana"}, {"users": {alice.user_id: None}}, {"events": []}]
        for levels in bad:
            await alice.set_state(room_id, "m.room.power_levels", levels, expect=(400, "M_BAD_JSON"))


async def test_nobody_shuts_his_own_server_out(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["evil.org", "*.evil.org"]})
    bad: list[dict[str, Any]] = [{"allow": ["*"], "deny": ["te?t"]}, {"allow": []}, {"allow": "*"}, {}]
    for acl in bad:
        await alice.set_state(room_id, "m.room.server_acl", acl, expect=(400, "M_BAD_JSON"))


async def test_bob_cannot_react_twice_with_the_same_key(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    event_id = await alice.send(room_id, "hello")

    def reaction(key: str) -> dict[str, object]:
        return {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": key}}

    first = await bob.send(room_id, reaction("👍"), "m.reaction")
    path = ("rooms", room_id, "send", "m.reaction", "again")
    await bob.put(path, reaction("👍"), expect=(400, "M_DUPLICATE_ANNOTATION"))
    await bob.send(room_id, reaction("👎"), "m.reaction")
    await alice.send(room_id, reaction("👍"), "m.reaction")
    await bob.redact(room_id, first)
    await bob.put(path, reaction("👍"))


async def test_a_thread_does_not_begin_inside_a_thread_nor_in_another_room(server: Server) -> None:
    alice = await server.register("alice")
    room_id, other = await alice.create_room(), await alice.create_room()
    root = await alice.send(room_id, "root")

    def in_thread(parent: str) -> dict[str, object]:
        relates = {"rel_type": "m.thread", "event_id": parent}
        return {"msgtype": "m.text", "body": "reply", "m.relates_to": relates}

    reply = await alice.send(room_id, in_thread(root))
    for room, parent in ((room_id, reply), (other, root)):
        path = ("rooms", room, "send", "m.room.message", "nested")
        await alice.put(path, in_thread(parent), expect=(400, "M_UNKNOWN"))


async def test_one_and_true_are_not_the_same_state(server: Server) -> None:
    alice = await server.register("alice")
    room = await alice.create_room()
    first = await alice.set_state(room, "org.example.flag", {"on": 1})
    second = await alice.set_state(room, "org.example.flag", {"on": True})
    assert first["event_id"] != second["event_id"]
    assert (await alice.state(room, "org.example.flag"))["on"] is True


async def test_strangers_learn_nothing_of_a_room_by_trying_to_set_its_state(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room = await alice.create_room()
    for event_type, content in (
        ("m.room.power_levels", {"users": 7}),
        ("m.room.server_acl", {"allow": 7}),
        ("m.room.canonical_alias", {"alias": "#nothing:test"}),
    ):
        answers = [
            await mallory.set_state(each, event_type, content, expect=(403, "M_FORBIDDEN"))
            for each in (room, "!nowhere:test")
        ]
        assert answers[0]["error"].replace(room, "") == answers[1]["error"].replace("!nowhere:test", "")
