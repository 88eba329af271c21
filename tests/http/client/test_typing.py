"""Who is typing."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.services.typing_users import TypingUsers
from tests.cast import Client, Server


def _typing(server: Server) -> TypingUsers:
    typing = server.application.readers.typing
    assert isinstance(typing, TypingUsers)
    return typing


async def _set(client: Client, room_id: str, *, expect: Any = 200, user: str | None = None, **body: Any) -> None:
    await client.put(("rooms", room_id, "typing", user or client.user_id), body, expect=expect)


async def test_typing_begins_and_stops(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    typing = _typing(server)
    start = typing.stream.current
    await _set(alice, room_id, typing=True, timeout=10_000)
    assert typing.users(room_id) == [alice.user_id]
    began = typing.stream.current
    assert list(typing.changed_rooms(start, began)) == [room_id]
    await _set(alice, room_id, typing=True, timeout=10_000)  # again: nothing new for anybody
    assert typing.stream.current == began
    await _set(alice, room_id, typing=False)
    assert typing.users(room_id) == []
    assert list(typing.changed_rooms(began, typing.stream.current)) == [room_id]
    assert list(typing.changed_rooms(typing.stream.current, typing.stream.current)) == []


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 30), (5_000, 5), (10**9, 120), (-5, 0)])
async def test_it_ends_by_itself(server: Server, timeout: int | None, seconds: int) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    typing = _typing(server)
    await _set(alice, room_id, typing=True, **({} if timeout is None else {"timeout": timeout}))
    if seconds:
        server.clock.advance(seconds=seconds - 1)
        await typing.expire()
        assert typing.users(room_id) == [alice.user_id]
        server.clock.advance(seconds=1)
    await typing.expire()
    assert typing.users(room_id) == []


async def test_who_leaves_types_no_more(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await _set(bob, room_id, typing=True)
    await alice.kick(room_id, bob)
    assert _typing(server).users(room_id) == []


async def test_typing_that_is_refused(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await _set(mallory, room_id, typing=True, expect=(403, "M_FORBIDDEN"))
    await mallory.join(room_id)
    await _set(mallory, room_id, typing=True, user=alice.user_id, expect=(403, "M_FORBIDDEN"))
    await _set(mallory, "!nowhere:test", typing=True, expect=(403, "M_FORBIDDEN"))
    await _set(alice, room_id, typing="yes", expect=(400, "M_BAD_JSON"))
    await _set(alice, room_id, typing=True, timeout="long", expect=(400, "M_BAD_JSON"))
    await _set(alice, room_id, expect=(400, "M_MISSING_PARAM"))
    assert _typing(server).users(room_id) == []
