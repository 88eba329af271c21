"""GET /events/{eventId}: an event without its room, for clients of old."""

from __future__ import annotations

from tests.cast import Server


async def test_members_find_an_event_and_others_do_not(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(invite=[bob.user_id])
    before = await alice.send(room_id, "before Bob came")
    await bob.join(room_id)
    event_id = await alice.send(room_id, "hello")
    found = await bob.get(("events", event_id))
    assert found == await bob.get(("rooms", room_id, "event", event_id))
    assert (found["room_id"], found["content"]["body"]) == (room_id, "hello")
    assert (await alice.get(("events", before)))["content"]["body"] == "before Bob came"
    for reader in (mallory, await server.guest()):
        await reader.get(("events", event_id), expect=(404, "M_NOT_FOUND"))
    await alice.anonymous().get(("events", event_id), expect=(401, "M_MISSING_TOKEN"))


async def test_what_is_no_event_is_not_found(server: Server) -> None:
    alice = await server.register("alice")
    for event_id in ("$nothing", "nothing", "!room:test", "$" + "x" * 300, "$a b", "%00"):
        answer = await alice.get(("events", event_id), expect={404, 400})
        assert answer["errcode"] in ("M_NOT_FOUND", "M_INVALID_PARAM")


async def test_a_redacted_event_is_shown_redacted(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "oops")
    await alice.put(("rooms", room_id, "redact", event_id, "t"), {})
    assert (await alice.get(("events", event_id)))["content"] == {}
