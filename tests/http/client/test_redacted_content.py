"""What redacted messages said, for moderators, for a while (MSC2815)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from config.settings import Settings
from tests.cast import Client, Expected, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver

UNREDACTED = "fi.mau.msc2815.include_unredacted_content"
DELETED = (404, "FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED")
KEPT = {"fi.mau.msc2815.content_keep_ms": 7 * 24 * 60 * 60 * 1000}


async def a_redacted_message(server: Server) -> tuple[Client, Client, str, str]:
    """Alice moderates; Bob said something and took it back."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    said = await bob.send(room_id, "something bad")
    await bob.redact(room_id, said)
    return alice, bob, room_id, said


async def look(client: Client, room_id: str, event_id: str, *, expect: Expected = 200, key: str = UNREDACTED) -> Any:
    return await client.get(("rooms", room_id, "event", event_id), expect=expect, **{key: "true"})


async def test_moderators_see_what_a_redacted_message_said(server: Server) -> None:
    alice, _, room_id, said = await a_redacted_message(server)
    for key in (UNREDACTED, "include_unredacted_content"):
        event = await look(alice, room_id, said, key=key)
        assert event["content"]["body"] == "something bad"
        assert event["unsigned"]["redacted_because"]["type"] == "m.room.redaction"
    assert (await alice.get(("rooms", room_id, "event", said)))["content"] == {}
    plain = await alice.send(room_id, "hello")
    assert (await look(alice, room_id, plain))["content"]["body"] == "hello"


async def test_nobody_else_does(server: Server) -> None:
    alice, bob, room_id, said = await a_redacted_message(server)
    await look(bob, room_id, said, expect=(403, "M_FORBIDDEN"))
    mallory = await server.register("mallory")
    await look(mallory, room_id, said, expect=(404, "M_NOT_FOUND"))
    await look(alice, room_id, "$nothing", expect=(404, "M_NOT_FOUND"))
    path = ("rooms", room_id, "event", said)
    await alice.get(path, expect=(400, "M_INVALID_PARAM"), **{UNREDACTED: "perhaps"})
    # Who was a moderator and is gone is none.
    levels = await alice.get(("rooms", room_id, "state", "m.room.power_levels"))
    levels["users"][bob.user_id] = 50
    await alice.put(("rooms", room_id, "state", "m.room.power_levels"), levels)
    assert (await look(bob, room_id, said))["content"]["body"] == "something bad"
    await bob.post(("rooms", room_id, "leave"))
    await look(bob, room_id, said, expect=(403, "M_FORBIDDEN"))


async def test_it_is_forgotten_after_a_week(server: Server, clock: FakeClock) -> None:
    alice, _, room_id, said = await a_redacted_message(server)
    clock.advance(days=6)
    await server.application.reading.redacted.tidy()
    await look(alice, room_id, said)
    clock.advance(days=2)
    answer = await look(alice, room_id, said, expect=DELETED)
    assert answer.items() >= KEPT.items()
    await server.application.reading.redacted.tidy()
    database = server.application.base.database
    assert await database.fetchval("SELECT count(*) FROM redacted_bodies") == 0


async def test_who_erased_himself_takes_that_back_too(server: Server) -> None:
    alice, bob, room_id, said = await a_redacted_message(server)
    await bob.post("account/deactivate", {"auth": bob.password_auth(), "erase": True})
    await look(alice, room_id, said, expect=DELETED)


async def test_a_server_that_keeps_nothing_keeps_nothing(
    settings: Settings, database_dsn: str, clock: FakeClock
) -> None:
    quiet = replace(settings, rooms=replace(settings.rooms, keep_redacted=0))
    async with running_homeserver(quiet, database_dsn, clock) as server:
        alice, _, room_id, said = await a_redacted_message(server)
        assert await server.application.base.database.fetchval("SELECT count(*) FROM redacted_bodies") == 0
        answer = await look(alice, room_id, said, expect=DELETED)
        assert answer["fi.mau.msc2815.content_keep_ms"] == 0


async def test_the_second_redaction_does_not_replace_what_is_kept(server: Server) -> None:
    alice, _, room_id, said = await a_redacted_message(server)
    await alice.redact(room_id, said)
    assert (await look(alice, room_id, said))["content"]["body"] == "something bad"
