"""Receipts and markers as clients send them; what others see of them through the stream that sync reads."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol import errors
from homeserver.storage.account_data import AccountDataRows
from tests.cast import Client, Server


async def _room(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat")
    await alice.join(room_id)
    return alice, bob, room_id


async def _receipt(
    client: Client, room_id: str, event_id: str, kind: str = "m.read", *, expect: Any = 200, **body: Any
) -> None:
    await client.post(("rooms", room_id, "receipt", kind, event_id), body, expect=expect)


async def _seen_by(server: Server, reader: Client, room_id: str, since: int = 0) -> dict[str, Any]:
    """What the reader's sync is told: from memory, and the same from the database."""
    receipts = server.application.readers.receipts
    recent = await receipts.changed(reader.user_id, [room_id], since, receipts.stream.current)
    stored = await receipts.everything(reader.user_id, [room_id])
    if since == 0:
        assert recent == stored
    return dict(recent.get(room_id, {}))


async def test_others_see_the_receipt(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "hello")
    await _receipt(alice, room_id, event_id)
    expected = {event_id: {"m.read": {alice.user_id: {"ts": server.clock.now_ms()}}}}
    assert await _seen_by(server, bob, room_id) == expected


async def test_a_private_receipt_is_seen_by_oneself_only(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "hello")
    await _receipt(alice, room_id, event_id, "m.read.private")
    assert await _seen_by(server, bob, room_id) == {}
    assert list(await _seen_by(server, alice, room_id)) == [event_id]


async def test_a_later_receipt_replaces_the_earlier_one_and_an_earlier_one_changes_nothing(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    first, second = await bob.send(room_id, "one"), await bob.send(room_id, "two")
    await _receipt(alice, room_id, first)
    await _receipt(alice, room_id, second)
    assert list(await _seen_by(server, bob, room_id)) == [second]
    before = server.application.readers.receipts.stream.current
    await _receipt(alice, room_id, first)
    assert list(await _seen_by(server, bob, room_id)) == [second]
    assert await _seen_by(server, bob, room_id, before) == {}


async def test_receipts_of_threads_stand_beside_each_other(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    root = await bob.send(room_id, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    threaded = await bob.send(room_id, {"msgtype": "m.text", "body": "x", "m.relates_to": relation})
    await _receipt(alice, room_id, root, thread_id="main")
    await _receipt(alice, room_id, threaded, thread_id=root)
    now = server.clock.now_ms()
    assert await _seen_by(server, bob, room_id) == {
        root: {"m.read": {alice.user_id: {"ts": now, "thread_id": "main"}}},
        threaded: {"m.read": {alice.user_id: {"ts": now, "thread_id": root}}},
    }
    await _receipt(alice, room_id, root, thread_id=root)  # the root begins its thread


async def test_a_thread_id_must_fit_the_event(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    root, other = await bob.send(room_id, "root"), await bob.send(room_id, "other")
    relation = {"rel_type": "m.thread", "event_id": root}
    threaded = await bob.send(room_id, {"msgtype": "m.text", "body": "x", "m.relates_to": relation})
    for event_id, thread_id in ((threaded, "main"), (threaded, other), (other, root), (other, "$nothing")):
        await _receipt(alice, room_id, event_id, thread_id=thread_id, expect=(400, "M_INVALID_PARAM"))
    assert await _seen_by(server, bob, room_id) == {}


async def test_what_relates_to_a_root_may_be_read_in_its_thread(server: Server) -> None:
    """Complement: TestThreadedReceipts. A reaction to a reference to the root reads the thread, and not the rest."""
    alice, bob, room_id = await _room(server)

    def related(rel_type: str, event_id: str, **more: str) -> dict[str, Any]:
        relation = {"rel_type": rel_type, "event_id": event_id, **more}
        return {"msgtype": "m.text", "body": "x", "m.relates_to": relation}

    root = await bob.send(room_id, "root")
    reference = await bob.send(room_id, related("m.reference", root))
    await _receipt(alice, room_id, reference, thread_id=root, expect=(400, "M_INVALID_PARAM"))
    threaded = await bob.send(room_id, related("m.thread", root))
    reaction = await bob.send(room_id, related("m.annotation", reference, key="👍"), "m.reaction")
    other = await bob.send(room_id, "other")
    await bob.send(room_id, related("m.thread", other))
    await _receipt(alice, room_id, reaction, thread_id=other, expect=(400, "M_INVALID_PARAM"))
    await _receipt(alice, room_id, threaded, thread_id=other, expect=(400, "M_INVALID_PARAM"))

    async def unread() -> tuple[int, set[str]]:
        wanted = {"room": {"timeline": {"unread_thread_notifications": True}}}
        room = (await alice.sync(since=None, filter=wanted)).room(room_id)
        return room["unread_notifications"]["notification_count"], set(room.get("unread_thread_notifications", {}))

    assert await unread() == (3, {root, other})
    await _receipt(alice, room_id, reaction, thread_id=root)
    assert await unread() == (3, {other})


@pytest.mark.parametrize("thread_id", ["", 1, ["main"], {"a": 1}, True, "x" * 300])
async def test_a_thread_id_is_a_text_with_something_in_it(server: Server, thread_id: Any) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "hello")
    await _receipt(alice, room_id, event_id, thread_id=thread_id, expect=(400, "M_INVALID_PARAM"))


async def test_what_is_refused(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    mallory = await server.register("mallory")
    event_id = await bob.send(room_id, "hello")
    elsewhere = await bob.create_room()
    foreign = await bob.send(elsewhere, "secret")
    await _receipt(mallory, room_id, event_id, expect=(403, "M_FORBIDDEN"))
    await _receipt(alice, elsewhere, foreign, expect=(403, "M_FORBIDDEN"))
    await _receipt(alice, room_id, event_id, "m.seen", expect=(400, "M_INVALID_PARAM"))
    await _receipt(alice, room_id, event_id, "m.fully_read", thread_id="main", expect=(400, "M_INVALID_PARAM"))
    for unknown in ("$unknown", "nonsense", "$" + "x" * 300, foreign):
        await _receipt(alice, room_id, unknown, expect=(404, "M_NOT_FOUND"))


async def test_a_receipt_costs_at_most_three_statements(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    old = await bob.send(room_id, "old")
    for number in range(70):
        await bob.send(room_id, f"message {number}")
    event_id = await bob.send(room_id, "new")
    database = server.application.base.database
    # Alice's rooms, the old event, the receipt; then everything is in memory but the receipt.
    for read, statements in ((old, 3), (event_id, 1)):
        before = database.statements
        await _receipt(alice, room_id, read)
        assert database.statements - before == statements <= 3


# --- read markers -----------------------------------------------------------------------------------------------------


async def _fully_read(client: Client, room_id: str) -> Any:
    return await client.get(("user", client.user_id, "rooms", room_id, "account_data", "m.fully_read"))


async def test_markers_move_together(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    first, second, third = [await bob.send(room_id, text) for text in ("one", "two", "three")]
    markers = {"m.fully_read": first, "m.read": second, "m.read.private": third}
    await alice.post(("rooms", room_id, "read_markers"), markers)
    assert await _fully_read(alice, room_id) == {"event_id": first}
    assert list(await _seen_by(server, bob, room_id)) == [second]
    counts = await server.application.readers.unread.counts(alice.user_id, [room_id])
    assert counts[room_id].total.notifications == 0


async def test_markers_move_together_or_not_at_all(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "one")

    async def fail(*_: object) -> bool:
        raise errors.Unavailable

    monkeypatch.setattr(AccountDataRows, "advance", fail)
    markers = {"m.fully_read": event_id, "m.read": event_id}
    await alice.post(("rooms", room_id, "read_markers"), markers, expect=503)
    assert await _seen_by(server, bob, room_id) == {}
    monkeypatch.undo()
    await alice.post(("rooms", room_id, "read_markers"), markers)
    assert list(await _seen_by(server, bob, room_id)) == [event_id]
    assert await _fully_read(alice, room_id) == {"event_id": event_id}


async def test_the_fully_read_marker_only_moves_forwards_and_tells_sync(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    first, second = await bob.send(room_id, "one"), await bob.send(room_id, "two")
    account_data = server.application.readers.account_data
    since = account_data.stream.current
    await _receipt(alice, room_id, second, "m.fully_read")
    await alice.post(("rooms", room_id, "read_markers"), {"m.fully_read": first})
    assert await _fully_read(alice, room_id) == {"event_id": second}
    changed = await account_data.changed(alice.user_id, since, account_data.stream.current)
    event = b'{"type":"m.fully_read","content":{"event_id":"%s"}}' % second.encode()
    assert changed.by_room == {room_id: [event]}


async def test_markers_that_are_refused(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    mallory = await server.register("mallory")
    event_id = await bob.send(room_id, "one")
    path = ("rooms", room_id, "read_markers")
    await mallory.post(path, {"m.fully_read": event_id}, expect=(403, "M_FORBIDDEN"))
    await alice.post(path, {"m.fully_read": "$unknown"}, expect=(404, "M_NOT_FOUND"))
    await alice.post(path, {"m.fully_read": event_id, "m.read": "$unknown"}, expect=(404, "M_NOT_FOUND"))
    await alice.post(path, {"m.read": 7}, expect=(400, "M_BAD_JSON"))
    await alice.post(path, {})
    assert await _seen_by(server, bob, room_id) == {}
