"""Filters that clients store."""

from __future__ import annotations

import pytest

from tests.cast import Server

LAZY = {"room": {"state": {"lazy_load_members": True}}}


async def test_alice_finds_her_filter_again(server: Server) -> None:
    alice = await server.register("alice")
    filter_id = (await alice.post(("user", alice.user_id, "filter"), LAZY))["filter_id"]
    assert not filter_id.startswith("{")
    assert await alice.get(("user", alice.user_id, "filter", filter_id)) == LAZY


async def test_the_same_filter_is_stored_once(server: Server) -> None:
    alice = await server.register("alice")
    answers = [await alice.post(("user", alice.user_id, "filter"), LAZY) for _ in range(2)]
    assert answers[0] == answers[1]


async def test_filters_are_private(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    filter_id = (await alice.post(("user", alice.user_id, "filter"), LAZY))["filter_id"]
    await mallory.get(("user", alice.user_id, "filter", filter_id), expect=(403, "M_FORBIDDEN"))
    await mallory.post(("user", alice.user_id, "filter"), LAZY, expect=(403, "M_FORBIDDEN"))
    await mallory.get(("user", mallory.user_id, "filter", filter_id), expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize("filter_id", ["12345", "-1", "9" * 30, "abc", "²"])
async def test_unknown_filters(server: Server, filter_id: str) -> None:
    alice = await server.register("alice")
    await alice.get(("user", alice.user_id, "filter", filter_id), expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize(
    "definition", [{"room": 1}, {"room": {"timeline": {"limit": "many"}}}, {"event_fields": [1]}, {"presence": []}]
)
async def test_what_is_no_filter_is_refused(server: Server, definition: object) -> None:
    alice = await server.register("alice")
    await alice.post(("user", alice.user_id, "filter"), definition, expect=400)


async def test_a_filter_of_a_hundred_kilobytes_is_refused(server: Server) -> None:
    alice = await server.register("alice")
    definition = {"org.example.padding": "x" * 100_000}
    await alice.post(("user", alice.user_id, "filter"), definition, expect=(413, "M_TOO_LARGE"))


async def test_sync_resolves_a_filter_it_used_before_without_a_statement(server: Server) -> None:
    alice = await server.register("alice")
    filter_id = (await alice.post(("user", alice.user_id, "filter"), LAZY))["filter_id"]
    filters, database = server.application.accounts.filters, server.application.base.database
    first = await filters.resolve(alice.user_id, filter_id)
    before = database.statements
    assert await filters.resolve(alice.user_id, filter_id) is first
    assert database.statements == before
    assert first.room.state.lazy_load_members
