"""What Alice has been notified of, read or not."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server


async def _two(server: Server) -> tuple[Client, Client, str]:
    """Bob's room with Alice in it."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat")
    await alice.join(room_id)
    return alice, bob, room_id


def _mention(*people: Client) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": "hey", "m.mentions": {"user_ids": [each.user_id for each in people]}}


async def _ids(reader: Client, **query: Any) -> list[str]:
    page = await reader.get("notifications", **query)
    return [each["event"]["event_id"] for each in page["notifications"]]


async def _read(reader: Client, room_id: str, event_id: str, **body: Any) -> None:
    await reader.post(("rooms", room_id, "receipt", "m.read", event_id), body)


async def test_the_newest_comes_first_with_what_it_was(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    plain = await bob.send(room_id, "plain")
    mention = await bob.send(room_id, _mention(alice))
    await alice.send(room_id, "my own")
    answer = await alice.get("notifications")
    assert "next_token" not in answer
    first, second = answer["notifications"]
    assert [first["event"]["event_id"], second["event"]["event_id"]] == [mention, plain]
    assert first["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]
    assert second["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}]
    assert (first["room_id"], first["ts"], first["read"]) == (room_id, first["event"]["origin_server_ts"], True)
    assert "room_id" not in first["event"]


async def test_what_was_read_stays_in_the_list(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    mention = await bob.send(room_id, _mention(alice))
    later = await bob.send(room_id, "later")
    await _read(alice, room_id, mention)
    notifications = (await alice.get("notifications"))["notifications"]
    assert [(each["event"]["event_id"], each["read"]) for each in notifications] == [(later, False), (mention, True)]


async def test_threads_are_read_on_their_own(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    root = await bob.send(room_id, "root")
    in_thread = {**_mention(alice), "m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    reply = await bob.send(room_id, in_thread)
    await _read(alice, room_id, reply, thread_id=root)
    notifications = (await alice.get("notifications"))["notifications"]
    assert [(each["event"]["event_id"], each["read"]) for each in notifications] == [(reply, True), (root, False)]


async def test_pages_follow_one_another_over_all_rooms(server: Server) -> None:
    alice, bob, first = await _two(server)
    second = await bob.create_room(preset="public_chat")
    await alice.join(second)
    sent = [await bob.send((first, second)[number % 2], f"message {number}") for number in range(7)]
    seen: list[str] = []
    token = None
    for _ in range(4):
        page = await alice.get("notifications", limit=2, **({"from": token} if token else {}))
        seen += [each["event"]["event_id"] for each in page["notifications"]]
        token = page.get("next_token")
    assert token is None
    assert seen == sent[::-1]


async def test_only_highlights(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    mention = await bob.send(room_id, _mention(alice))
    await bob.send(room_id, "plain")
    everybody = await bob.send(room_id, {"msgtype": "m.text", "body": "all", "m.mentions": {"room": True}})
    assert await _ids(alice, only="highlight") == [everybody, mention]


async def test_a_muted_room_and_ignored_people_are_not_listed(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    carol = await server.register("carol")
    await carol.join(room_id)
    await bob.send(room_id, "to be muted")
    by_carol = await carol.send(room_id, _mention(alice))
    await alice.put(("pushrules", "global", "room", room_id), {"actions": []})
    assert await _ids(alice) == [by_carol]
    ignored = {"ignored_users": {carol.user_id: {}}}
    await alice.put(("user", alice.user_id, "account_data", "m.ignored_user_list"), ignored)
    assert await _ids(alice) == []


async def test_what_was_before_one_came_and_after_one_left_is_not_listed(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat")
    await bob.set_state(room_id, "m.room.history_visibility", {"history_visibility": "joined"})
    await bob.send(room_id, "before")
    await alice.join(room_id)
    inside = await bob.send(room_id, "inside")
    assert await _ids(alice) == [inside]
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "Alice in chains"})
    assert await _ids(alice) == [inside]
    await alice.leave(room_id)
    await bob.send(room_id, "after")
    assert await _ids(alice) == []
    await alice.join(room_id)
    assert await _ids(alice) == [inside]


async def test_invitations_and_redacted_events(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    gone = await bob.send(room_id, "oops")
    await bob.redact(room_id, gone)
    other = await bob.create_room()
    await bob.invite(other, alice)
    (invitation,) = (await alice.get("notifications"))["notifications"]
    assert (invitation["room_id"], invitation["event"]["state_key"]) == (other, alice.user_id)


async def test_made_up_tokens_and_limits(server: Server) -> None:
    alice = await server.register("alice")
    for token in ("x", "-1", "9" * 19, "1.5", "٣"):
        await alice.get("notifications", **{"from": token}, expect="M_INVALID_PARAM")
    await alice.get("notifications", limit=0, expect="M_INVALID_PARAM")
    assert await alice.get("notifications", **{"from": ""}) == {"notifications": []}
    assert await alice.get("notifications", limit=1_000_000, only="nonsense") == {"notifications": []}
    await server.anonymous().get("notifications", expect=401)


async def test_after_a_month_what_was_read_is_forgotten_and_what_was_not_still_counts(server: Server) -> None:
    alice, bob, room_id = await _two(server)
    other = await bob.create_room(preset="public_chat")
    await alice.join(other)
    read = await bob.send(room_id, _mention(alice))
    await _read(alice, room_id, read)
    await bob.send(other, _mention(alice))
    past = server.application.push.past
    await past.forget()
    server.clock.advance(days=30)
    await past.forget()
    assert await _ids(alice) == []
    database = server.application.base.database
    assert await database.fetchval("SELECT count(*) FROM push_actions") == 1
    new = await bob.send(room_id, "new")
    assert await _ids(alice) == [new]
    counts = await server.application.readers.unread.counts(alice.user_id, [other])
    assert counts[other].total.highlights == 1
