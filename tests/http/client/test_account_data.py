"""Account data, tags, and whom one ignores."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from homeserver.services.account_data import account_data
from homeserver.storage.account_data import AccountDataLimits
from tests.cast import Client, Server


def _path(client: Client, event_type: str, room_id: str | None = None) -> tuple[str, ...]:
    room = () if room_id is None else ("rooms", room_id)
    return ("user", client.user_id, *room, "account_data", event_type)


async def _changed(server: Server, client: Client, since: int) -> tuple[list[Any], dict[str, list[Any]]]:
    """What the syncs of the user's devices are told; the same from memory and from the database."""
    source = server.application.readers.account_data
    recent = await source.changed(client.user_id, since, source.stream.current)
    source.changes.recent.load(source.stream.current)
    stored = await source.changed(client.user_id, since, source.stream.current)
    assert _decoded(recent) == _decoded(stored)
    return _decoded(recent)


def _decoded(events: Any) -> tuple[list[Any], dict[str, list[Any]]]:
    by_room = {room_id: [orjson.loads(event) for event in found] for room_id, found in events.by_room.items()}
    return sorted(map(orjson.loads, events.everywhere), key=str), by_room


def _position(server: Server) -> int:
    return int(server.application.readers.account_data.stream.current)


async def test_what_is_put_is_found_again_and_told_to_sync(server: Server) -> None:
    alice = await server.register("alice")
    since = _position(server)
    await alice.put(_path(alice, "org.example.theme"), {"dark": False})
    await alice.put(_path(alice, "org.example.theme"), {"dark": True})
    await alice.put(_path(alice, "org.example.color", "!room:test"), {"is": "red"})
    assert await alice.get(_path(alice, "org.example.theme")) == {"dark": True}
    assert await alice.get(_path(alice, "org.example.color", "!room:test")) == {"is": "red"}
    # "There is no inheritance mechanism here."
    await alice.get(_path(alice, "org.example.theme", "!room:test"), expect=(404, "M_NOT_FOUND"))
    everywhere, by_room = await _changed(server, alice, since)
    assert everywhere == [{"type": "org.example.theme", "content": {"dark": True}}]
    assert by_room == {"!room:test": [{"type": "org.example.color", "content": {"is": "red"}}]}


UNSTABLE = "/_matrix/client/unstable/org.matrix.msc3391"


@pytest.mark.parametrize("prefix", ["/_matrix/client/v3", UNSTABLE])
async def test_what_is_deleted_is_gone_and_told_to_sync_as_empty(server: Server, prefix: str) -> None:
    alice = await server.register("alice")
    await alice.put(_path(alice, "org.example.theme"), {"dark": True})
    await alice.put(_path(alice, "org.example.color", "!room:test"), {"is": "red"})
    since = _position(server)
    for path in (_path(alice, "org.example.theme"), _path(alice, "org.example.color", "!room:test")):
        for _ in range(2):
            await alice.delete("/".join((prefix, *path)))
        await alice.get(path, expect=(404, "M_NOT_FOUND"))
    assert _position(server) == since + 4
    everywhere, by_room = await _changed(server, alice, since)
    assert everywhere == [{"type": "org.example.theme", "content": {}}]
    assert by_room == {"!room:test": [{"type": "org.example.color", "content": {}}]}
    assert "org.example" not in str(await server.application.readers.account_data.everything(alice.user_id))


async def test_an_empty_entry_is_none(server: Server) -> None:
    """MSC3391, for clients that delete by writing nothing; and sliding sync tells it once, too."""
    alice = await server.register("alice")
    room_id = await alice.create_room()
    theme, color = _path(alice, "org.example.theme"), _path(alice, "org.example.color", room_id)
    await alice.put(theme, {"dark": True})
    await alice.put(color, {"is": "red"})
    sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    rooms = {"all": {"ranges": [[0, 9]], "required_state": [], "timeline_limit": 1}}
    wish = {"lists": rooms, "extensions": {"account_data": {"enabled": True}}}
    pos = (await alice.post(sliding, wish))["pos"]
    await alice.sync()
    for path in (theme, color):
        await alice.put(path, {})
        await alice.get(path, expect=(404, "M_NOT_FOUND"))
    news = await alice.sync()
    assert news.account_data("org.example.theme") == news.account_data("org.example.color", room_id) == {}
    answer = await alice.post(sliding, wish, pos=pos)
    told = answer["extensions"]["account_data"]
    assert told["global"] == [{"type": "org.example.theme", "content": {}}]
    assert told["rooms"] == {room_id: [{"type": "org.example.color", "content": {}}]}
    again = await alice.post(sliding, wish, pos=answer["pos"])
    assert "account_data" not in again["extensions"]
    assert (await alice.sync(since=None)).account_data("org.example.theme") is None
    await alice.put(theme, {"dark": False})
    assert await alice.get(theme) == {"dark": False}


async def test_only_ones_own_entries_can_be_deleted(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await alice.put(_path(alice, "org.example.theme"), {"dark": True})
    await mallory.delete(_path(alice, "org.example.theme"), expect=(403, "M_FORBIDDEN"))
    await alice.delete(_path(alice, "m.push_rules"), expect=405)
    await alice.delete(_path(alice, "m.fully_read", "!room:test"), expect=405)
    await alice.delete(_path(alice, "org.example.theme", "nonsense"), expect=(400, "M_INVALID_PARAM"))
    assert await alice.get(_path(alice, "org.example.theme")) == {"dark": True}
    flags = (await alice.get("/_matrix/client/versions"))["unstable_features"]
    assert flags["org.matrix.msc3391"] is True


async def test_whoever_deletes_his_list_ignores_nobody(server: Server) -> None:
    alice = await server.register("alice")
    await alice.put(_path(alice, "m.ignored_user_list"), {"ignored_users": {"@mallory:test": {}}})
    source = server.application.readers.account_data
    assert await source.ignored_users(alice.user_id) == {"@mallory:test"}
    await alice.delete(_path(alice, "m.ignored_user_list"))
    assert await source.ignored_users(alice.user_id) == frozenset()


async def test_large_entries_are_told_too(server: Server) -> None:
    alice = await server.register("alice")
    since = _position(server)
    content = {"text": "x" * 20_000}
    await alice.put(_path(alice, "org.example.big"), content)
    assert (await _changed(server, alice, since))[0] == [{"type": "org.example.big", "content": content}]


async def test_other_peoples_account_data_is_theirs(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    since = _position(server)
    for room_id in (None, "!room:test"):
        await mallory.put(_path(alice, "org.example", room_id), {}, expect=(403, "M_FORBIDDEN"))
        await mallory.get(_path(alice, "org.example", room_id), expect=(403, "M_FORBIDDEN"))
    await mallory.get(_path(alice, "m.push_rules"), expect=(403, "M_FORBIDDEN"))
    await alice.put(_path(alice, "org.example"), {"secret": 1})
    assert await _changed(server, mallory, since) == ([], {})


@pytest.mark.parametrize("event_type", ["m.fully_read", "m.push_rules"])
async def test_what_the_server_manages_is_refused(server: Server, event_type: str) -> None:
    alice = await server.register("alice")
    for room_id in (None, "!room:test"):
        await alice.put(_path(alice, event_type, room_id), {}, expect=(405, "M_BAD_JSON"))


async def test_bad_input(server: Server) -> None:
    alice = await server.register("alice")
    await alice.put(_path(alice, "org.example", "no room"), {}, expect=(400, "M_INVALID_PARAM"))
    await alice.get(_path(alice, "org.example", "no room"), expect=(400, "M_INVALID_PARAM"))
    await alice.put(_path(alice, "x" * 300), {}, expect=(400, "M_INVALID_PARAM"))
    await alice.put(_path(alice, "org.example"), [1], expect=(400, "M_BAD_JSON"))
    path = "/".join(_path(alice, "org.example"))
    for body in (b"", b"{", b"\xff"):
        answer = await alice.raw("PUT", path, data=body)
        assert (answer.status, answer.json()["errcode"]) == (400, "M_NOT_JSON")
    await alice.get(_path(alice, "org.example"), expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize("content", [{}, {"ignored_users": []}, {"ignored_users": "@bob:test"}, {"ignored_users": {}}])
async def test_an_ignore_list_with_anything_in_it_ignores_nobody(server: Server, content: Any) -> None:
    alice = await server.register("alice")
    await alice.put(_path(alice, "m.ignored_user_list"), content)
    assert await server.application.readers.account_data.ignored_users(alice.user_id) == frozenset()


async def test_whom_one_ignores_is_known_at_once_and_without_a_statement(server: Server) -> None:
    alice = await server.register("alice")
    source, database = server.application.readers.account_data, server.application.base.database
    assert await source.ignored_users(alice.user_id) == frozenset()
    await alice.put(_path(alice, "m.ignored_user_list"), {"ignored_users": {"@bob:test": {}, alice.user_id: {}}})
    before = database.statements
    assert await source.ignored_users(alice.user_id) == {"@bob:test"}
    assert database.statements == before


async def test_who_blocks_invitations_gets_none(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room()
    await alice.put(_path(alice, "m.invite_permission_config"), {"default_action": "block"})
    await bob.invite(room_id, alice, expect=(403, "M_INVITE_BLOCKED"))
    await alice.put(_path(alice, "m.invite_permission_config"), {})
    await bob.invite(room_id, alice)


# --- Tags -------------------------------------------------------------------------------------------------------------


def _tag(client: Client, room_id: str, *tag: str) -> tuple[str, ...]:
    return ("user", client.user_id, "rooms", room_id, "tags", *tag)


async def test_tags_come_and_go(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    since = _position(server)
    assert await alice.get(_tag(alice, room_id)) == {"tags": {}}
    await alice.put(_tag(alice, room_id, "m.favourite"), {"order": 0.25})
    await alice.put(_tag(alice, room_id, "u.wörk / life"), {})
    both = {"m.favourite": {"order": 0.25}, "u.wörk / life": {}}
    assert await alice.get(_tag(alice, room_id)) == {"tags": both}
    assert (await _changed(server, alice, since))[1] == {room_id: [{"type": "m.tag", "content": {"tags": both}}]}
    await alice.delete(_tag(alice, room_id, "m.favourite"))
    await alice.delete(_tag(alice, room_id, "m.favourite"))
    assert await alice.get(_path(alice, "m.tag", room_id)) == {"tags": {"u.wörk / life": {}}}


async def test_tags_set_at_the_same_time_are_all_there(server: Server) -> None:
    alice = await server.register("alice")
    await asyncio.gather(*(alice.put(_tag(alice, "!room:test", f"u.{number}"), {}) for number in range(5)))
    assert len((await alice.get(_tag(alice, "!room:test")))["tags"]) == 5


@pytest.mark.parametrize("order", ["0.5", -0.1, 1.1, True, [], {}])
async def test_order_is_a_number_between_0_and_1(server: Server, order: Any) -> None:
    alice = await server.register("alice")
    await alice.put(_tag(alice, "!room:test", "u.x"), {"order": order}, expect=(400, "M_BAD_JSON"))


async def test_a_tag_counts_as_an_entry_of_account_data(server: Server) -> None:
    alice = await server.register("alice")
    await alice.put(_tag(alice, "!room:test", "u.x"), {})
    await server.application.base.database.execute(
        "INSERT INTO account_data SELECT $1, '!' || n, 'm.tag', '{}', 0 FROM generate_series(1, 19999) n", alice.user_id
    )
    await alice.put(_tag(alice, "!room:test", "u.y"), {})
    await alice.put(_tag(alice, "!other:test", "u.x"), {}, expect=(413, "M_TOO_LARGE"))
    await alice.put(_path(alice, "org.example.theme"), {"dark": True}, expect=(413, "M_TOO_LARGE"))


async def test_tags_that_are_refused(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await mallory.put(_tag(alice, "!room:test", "u.x"), {}, expect=(403, "M_FORBIDDEN"))
    await mallory.get(_tag(alice, "!room:test"), expect=(403, "M_FORBIDDEN"))
    await mallory.delete(_tag(alice, "!room:test", "u.x"), expect=(403, "M_FORBIDDEN"))
    await alice.put(_tag(alice, "!room:test", "u." + "x" * 254), {}, expect=(400, "M_INVALID_PARAM"))
    await alice.put(_tag(alice, "!room:test", "u.x"), {"big": "x" * 5000}, expect=(413, "M_TOO_LARGE"))
    await alice.put(_tag(alice, "nonsense", "u.x"), {}, expect=(400, "M_INVALID_PARAM"))
    # Anything may stand in m.tag when it is written as account data.
    await alice.put(_path(alice, "m.tag", "!room:test"), {"tags": "none"})
    assert await alice.get(_tag(alice, "!room:test")) == {"tags": {}}


async def test_mallory_fills_no_disk_with_account_data(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_data, "LIMITS", AccountDataLimits(entries=3, total_bytes=1000))
    mallory = await server.register("mallory")

    async def put(event_type: str, size: int, **expected: Any) -> None:
        path = ("user", mallory.user_id, "account_data", event_type)
        await mallory.put(path, {"text": "x" * (size - len('{"text":""}'))}, **expected)

    await put("one", 600)
    await put("two", 401, expect=(413, "M_TOO_LARGE"))
    await put("two", 400)
    # What takes the place of something does not count twice.
    await put("one", 600)
    await put("one", 601, expect=(413, "M_TOO_LARGE"))
    await put("one", 100)
    await put("three", 100)
    await put("four", 100, expect=(413, "M_TOO_LARGE"))
    await put("three", 50)


async def test_what_was_set_before_the_join_comes_with_the_join(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(invite=[bob.user_id])
    await bob.put(("user", bob.user_id, "rooms", room_id, "tags", "u.later"), {"order": 0.5})
    await bob.sync()
    await bob.join(room_id)
    assert (await bob.sync()).account_data("m.tag", room_id) == {"tags": {"u.later": {"order": 0.5}}}
