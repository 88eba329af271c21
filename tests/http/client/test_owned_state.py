"""Rooms of version `org.matrix.msc3757.11`, from room to room state: MSC3757."""

from __future__ import annotations

from tests.cast import Server

VERSION = "org.matrix.msc3757.11"
CALL_MEMBER = "org.matrix.msc3401.call.member"


async def test_two_devices_of_bob_have_state_that_mallory_cannot_touch(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    available = (await alice.get("capabilities"))["capabilities"]["m.room_versions"]["available"]
    assert (available[VERSION], available["12"]) == ("unstable", "stable")
    room_id = await alice.create_room(
        preset="public_chat", room_version=VERSION, power_level_content_override={"events": {CALL_MEMBER: 0}}
    )
    await bob.join(room_id)
    await mallory.join(room_id)
    keys = [f"{bob.user_id}_PHONE", f"{bob.user_id}_{'x' * 200}", bob.user_id]
    for number, key in enumerate(keys):
        await bob.put(("rooms", room_id, "state", CALL_MEMBER, key), {"number": number})
        await mallory.put(("rooms", room_id, "state", CALL_MEMBER, key), {}, expect=(403, "M_FORBIDDEN"))
    found = [await mallory.get(("rooms", room_id, "state", CALL_MEMBER, key)) for key in keys]
    assert [content["number"] for content in found] == [0, 1, 2]
    await alice.put(("rooms", room_id, "state", CALL_MEMBER, keys[0]), {})
    assert await bob.get(("rooms", room_id, "state", CALL_MEMBER, keys[0])) == {}
    too_long = f"{bob.user_id}_{'x' * 500}"
    await bob.put(("rooms", room_id, "state", CALL_MEMBER, too_long), {}, expect=(403, "M_FORBIDDEN"))
