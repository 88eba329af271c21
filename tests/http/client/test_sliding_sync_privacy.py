"""What Mallory may not learn by sliding sync."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ENCRYPTION = {"algorithm": "m.megolm.v1.aes-sha2"}


async def listed(client: Client, pos: str | None = None, **filters: Any) -> set[str]:
    wanted = {"timeline_limit": 1, "required_state": [], "filters": filters}
    return set((await client.post(UNSTABLE, {"lists": {"a": wanted}}, pos=pos))["rooms"])


async def test_filters_see_a_room_as_it_was_when_mallory_was_thrown_out(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    rooms = [await alice.create_room(preset="public_chat", name="Party") for _ in range(2)]
    for room_id in rooms:
        await mallory.join(room_id)
    kicked, banned = rooms
    await alice.kick(kicked, mallory)
    await mallory.post(("rooms", banned, "leave"))
    for room_id in rooms:
        await alice.set_state(room_id, "m.room.name", {"name": "How to get rid of Mallory"})
        await alice.set_state(room_id, "m.room.encryption", ENCRYPTION)
    # Banned long after she had gone: she has not seen the name that the room has got meanwhile.
    await alice.ban(banned, mallory)
    for cold in (False, True):
        if cold:
            for room_id in rooms:
                server.application.base.cache.retire(await server.application.base.cache.get(room_id))
        assert await listed(mallory, room_name_like="rid of") == set()
        assert await listed(mallory, room_name_like="party") == set(rooms)
        assert await listed(mallory, is_encrypted=True) == set()
        assert await listed(mallory, room_types=[None]) == set(rooms)
    # Back again, she is told.
    await alice.invite(kicked, mallory)
    await mallory.join(kicked)
    assert await listed(mallory, room_name_like="rid of") == {kicked}


async def asked(client: Client, pos: str | None = None, limit: int = 50, *room_ids: str, **more: Any) -> Any:
    wanted = {"timeline_limit": limit, "required_state": [["*", "*"], ["m.room.member", "$LAZY"]]}
    subscriptions = dict.fromkeys(room_ids, wanted)
    return await client.post(UNSTABLE, {"lists": {"a": wanted}, "room_subscriptions": subscriptions, **more}, pos=pos)


def texts(answer: Any, room_id: str) -> list[str]:
    told = answer["rooms"].get(room_id, {}).get("timeline", [])
    return [event["content"]["body"] for event in told if event["type"] == "m.room.message"]


async def test_a_longer_timeline_shows_no_more_than_history_visibility_lets(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    hidden = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
    room_id = await alice.create_room(preset="public_chat", initial_state=[hidden])
    await alice.send(room_id, "before she came")
    await mallory.join(room_id)
    await alice.send(room_id, "first")
    pos = (await asked(mallory, None, 1))["pos"]
    grown = await asked(mallory, pos, 50)
    assert grown["rooms"][room_id]["unstable_expanded_timeline"] is True
    assert texts(grown, room_id) == ["first"]
    await mallory.post(("rooms", room_id, "leave"))
    await alice.send(room_id, "while she was away")
    await mallory.join(room_id)
    await alice.send(room_id, "second")
    again = await asked(mallory, grown["pos"], 50, room_id)
    assert texts(again, room_id) in (["second"], ["first", "second"])
    grown = await asked(mallory, again["pos"], 100, room_id)
    assert "while" not in str(grown)
    assert "before" not in str(grown)


async def test_whoever_is_out_of_a_room_is_told_nothing_of_what_comes_after(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat", name="Party")
    await mallory.join(room_id)
    await alice.send(room_id, "hello")
    connected = await asked(mallory, None, 1)
    await alice.ban(room_id, mallory)
    await alice.send(room_id, "secret")
    await alice.set_state(room_id, "m.room.name", {"name": "secret"})
    await alice.set_state(room_id, "org.example.thing", {"text": "secret"})
    everything = {name: {"enabled": True} for name in ("to_device", "e2ee", "account_data", "receipts", "typing")}
    everything |= {name: {"enabled": True} for name in ("org.matrix.msc4354.sticky_events", "org.voicechat.voice")}
    await alice.put(("rooms", room_id, "typing", alice.user_id), {"typing": True, "timeout": 30_000})
    told = await asked(mallory, connected["pos"], 50, room_id, extensions=everything)
    more = await asked(mallory, told["pos"], 100, room_id, extensions=everything)
    anew = await asked(mallory, None, 100, room_id, extensions=everything)
    for answer in (told, more, anew):
        assert "secret" not in str(answer)
        assert room_id not in answer["extensions"].get("typing", {}).get("rooms", {})
    assert told["rooms"][room_id]["required_state"]
    assert texts(anew, room_id) == ["hello"]


async def test_invitations_show_what_invitations_show(server: Server) -> None:
    alice, mallory, carol = [await server.register(name) for name in ("alice", "mallory", "carol")]
    room_id = await alice.create_room(preset="private_chat", name="Party", topic="secret", invite=[mallory.user_id])
    await alice.set_state(room_id, "org.example.thing", {"text": "secret"})
    await alice.send(room_id, "secret")
    answer = await asked(mallory, None, 50, room_id)
    assert answer["rooms"][room_id].keys() <= {"initial", "invite_state", "bump_stamp", "is_dm"}
    assert "org.example.thing" not in str(answer)
    # A stranger, and one who ignores Alice, are told nothing at all.
    assert (await asked(carol, None, 50, room_id))["rooms"] == {}
    ignored = {"ignored_users": {alice.user_id: {}}}
    await mallory.put(("user", mallory.user_id, "account_data", "m.ignored_user_list"), ignored)
    assert (await asked(mallory, None, 50, room_id))["rooms"] == {}


async def test_nobody_goes_on_where_another_device_is(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    pos = (await asked(alice))["pos"]
    await asked(mallory)
    await mallory.post(UNSTABLE, {}, pos=pos, expect=(400, "M_UNKNOWN_POS"))
    phone = await alice.login()
    await phone.post(UNSTABLE, {}, pos=pos, expect=(400, "M_UNKNOWN_POS"))
    for bad in ("p", "p-1_0000000000000000_1", "p" + "9" * 400, "p1_0000000000000000_" + "9" * 18, "s1"):
        await mallory.post(UNSTABLE, {}, pos=bad, expect=(400, "M_UNKNOWN_POS"))
