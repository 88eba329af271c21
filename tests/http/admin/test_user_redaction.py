"""Mallory has said too much: Ada, the administrator, and Alice, a moderator, have it redacted."""

from __future__ import annotations

import asyncio
from typing import Any

from config.settings import Settings
from tests.cast import PASSWORD, Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver

USER = "/_synapse/admin/v1/user"
MSC4194 = "/_matrix/client/unstable/org.matrix.msc4194"


async def settled(server: Server) -> None:
    async with asyncio.timeout(20):
        await server.application.moderation.tasks.settled()


async def what_is_said(reader: Client, room_id: str, sender: Client) -> list[Any]:
    """The contents of the sender's messages and joins that are still there, newest first."""
    chunk = (await reader.messages(room_id, limit=500))["chunk"]
    return [
        event["content"].get("body") or event["content"].get("displayname")
        for event in chunk
        if event["sender"] == sender.user_id
        and event["type"] in ("m.room.message", "m.room.member")
        and "redacted_because" not in event.get("unsigned", {})
    ]


async def test_all_that_mallory_said_is_redacted_everywhere(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    rooms = [await alice.create_room(preset="public_chat") for _ in range(2)]
    for room_id in rooms:
        await alice.send(room_id, "welcome")
        await mallory.join(room_id)
        for number in range(45):
            await mallory.send(room_id, f"spam {number}")
        await alice.send(room_id, "oh dear")
    redact_id = (await ada.post(f"{USER}/{mallory.user_id}/redact", {"rooms": [], "reason": "spam"}))["redact_id"]
    await settled(server)
    status = await ada.get(f"{USER}/redact_status/{redact_id}")
    assert status == {"status": "complete", "failed_redactions": {}}
    for room_id in rooms:
        assert await what_is_said(alice, room_id, mallory) == []
        assert await what_is_said(alice, room_id, alice) == ["oh dear", "welcome", "alice"]
        chunk = (await alice.messages(room_id, limit=500))["chunk"]
        redactions = [event for event in chunk if event["type"] == "m.room.redaction"]
        assert len(redactions) == 46
        assert all((each["sender"], each["content"]["reason"]) == (mallory.user_id, "spam") for each in redactions)


async def test_only_so_many_in_these_rooms_in_this_time(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    one, other = [await alice.create_room(preset="public_chat") for _ in range(2)]
    for room_id in (one, other):
        await mallory.join(room_id)
        for number in range(3):
            server.clock.advance(minutes=1)
            await mallory.send(room_id, f"old {number}")
    server.clock.advance(minutes=1)
    now = server.clock.now_ms()
    server.clock.advance(minutes=1)
    await mallory.send(one, "new")
    await ada.post(f"{USER}/{mallory.user_id}/redact", {"rooms": [one], "limit": 2, "before_ts": now})
    await settled(server)
    assert await what_is_said(alice, one, mallory) == ["new", "old 0", "mallory"]
    assert len(await what_is_said(alice, other, mallory)) == 4
    await ada.post(f"{USER}/{mallory.user_id}/redact", {"rooms": [one], "after_ts": now})
    await settled(server)
    assert await what_is_said(alice, one, mallory) == ["old 0", "mallory"]


async def test_what_cannot_be_redacted_is_told(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    event_id = await mallory.send(room_id, "spam")
    await alice.ban(room_id, mallory)
    redact_id = (await ada.post(f"{USER}/{mallory.user_id}/redact", {"rooms": []}))["redact_id"]
    await settled(server)
    failed = (await ada.get(f"{USER}/redact_status/{redact_id}"))["failed_redactions"]
    assert event_id in failed
    # Where the administrator is in the room, his word counts: users of this server are his.
    await ada.join(room_id)
    await ada.post(f"{USER}/{mallory.user_id}/redact", {"rooms": []})
    await settled(server)
    assert await what_is_said(alice, room_id, mallory) == []


async def test_a_restart_goes_on(database_dsn: str, clock: FakeClock, settings: Settings) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        ada, mallory = await server.administrator(), await server.register("mallory")
        room_id = await mallory.create_room()
        for number in range(30):
            await mallory.send(room_id, f"spam {number}")
        tasks = server.application.moderation.tasks
        await tasks.stop()
        redact_id = (await ada.post(f"{USER}/{mallory.user_id}/redact", {"rooms": []}))["redact_id"]
        # One step is done, and the server is killed before the word of it is stored.
        await tasks.handlers["redact_user"].step(tasks.unfinished("redact_user")[0])
    async with running_homeserver(settings, database_dsn, clock) as server:
        await settled(server)
        ada = await server.anonymous().login("ada", PASSWORD)
        assert (await ada.get(f"{USER}/redact_status/{redact_id}"))["status"] == "complete"
        mallory = await server.anonymous().login("mallory", PASSWORD)
        assert await what_is_said(mallory, room_id, mallory) == []
        chunk = (await mallory.messages(room_id, limit=500))["chunk"]
        assert len([event for event in chunk if event["type"] == "m.room.redaction"]) == 31


async def test_nonsense_redacts_nothing(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    room_id = await mallory.create_room()
    await mallory.send(room_id, "spam")
    await ada.post(f"{USER}/mallory/redact", {"rooms": []}, expect=400)
    bodies: list[dict[str, Any]] = [
        {}, {"rooms": "all"}, {"rooms": ["nonsense"]}, {"rooms": [], "limit": 0}, {"rooms": [], "limit": 10**7},
        {"rooms": [], "reason": "x" * 1001}, {"rooms": [], "before_ts": 2**63}, {"rooms": [], "after_ts": "x"},
    ]  # fmt: skip
    for body in bodies:
        await ada.post(f"{USER}/{mallory.user_id}/redact", body, expect=400)
    await settled(server)
    assert "spam" in await what_is_said(mallory, room_id, mallory)


async def test_only_administrators_may_order_it(server: Server) -> None:
    mallory = await server.register("mallory")
    await mallory.post(f"{USER}/{mallory.user_id}/redact", {"rooms": []}, expect=(403, "M_FORBIDDEN"))
    await mallory.get(f"{USER}/redact_status/x", expect=(403, "M_FORBIDDEN"))


async def test_a_moderator_redacts_what_somebody_said_in_his_room(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    assert (await alice.get("/_matrix/client/versions"))["unstable_features"]["org.matrix.msc4194"]
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    for number in range(9):
        await mallory.send(room_id, f"spam {number}")
    await alice.ban(room_id, mallory)
    path = f"{MSC4194}/rooms/{room_id}/redact/user/{mallory.user_id}"
    answer = await alice.post(path, {"reason": "spam"}, limit=6)
    assert answer == {"is_more_events": True, "redacted_events": {"total": 6, "soft_failed": 0}}
    assert await what_is_said(alice, room_id, mallory) == ["spam 2", "spam 1", "spam 0", "mallory"]
    answer = await alice.post(path, {})
    assert answer == {"is_more_events": False, "redacted_events": {"total": 4, "soft_failed": 0}}
    assert await what_is_said(alice, room_id, mallory) == []
    assert (await alice.post(path, {}))["redacted_events"]["total"] == 0


async def test_who_has_no_power_redacts_nothing(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await alice.send(room_id, "hello")
    path = f"{MSC4194}/rooms/{room_id}/redact/user/{alice.user_id}"
    await mallory.post(path, {}, expect=(403, "M_FORBIDDEN"))
    await mallory.join(room_id)
    await mallory.post(path, {}, expect=(403, "M_FORBIDDEN"))
    await mallory.post(f"{MSC4194}/rooms/!no:test/redact/user/{alice.user_id}", {}, expect=(403, "M_FORBIDDEN"))
    await alice.post(f"{MSC4194}/rooms/{room_id}/redact/user/nonsense", {}, expect=400)
    await alice.post(path, {"reason": 5}, expect=400)
    await alice.post(path, {}, limit=0, expect=400)


async def test_no_character_in_a_name_protects_mallory(server: Server, ada: Client) -> None:
    """PostgreSQL reads no JSON that has NUL characters in it."""
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    for name in ("a\0b", "a\\u0000b", "a\\\0b"):
        await mallory.set_state(
            room_id, "m.room.member", {"membership": "join", "displayname": name}, mallory.user_id
        )  # fmt: skip
    await mallory.send(room_id, {"msgtype": "m.text", "body": "spam\0"})
    path = f"{MSC4194}/rooms/{room_id}/redact/user/{mallory.user_id}"
    answer = await alice.post(path, {}, expect=200)
    # The messages and four joins.
    assert answer == {"is_more_events": False, "redacted_events": {"total": 5, "soft_failed": 0}}
    assert await what_is_said(alice, room_id, mallory) == []
    await mallory.send(room_id, "more")
    redact_id = (await ada.post(f"{USER}/{mallory.user_id}/redact", {"rooms": []}))["redact_id"]
    await settled(server)
    assert (await ada.get(f"{USER}/redact_status/{redact_id}")) == {"status": "complete", "failed_redactions": {}}
