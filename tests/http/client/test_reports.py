"""Alice reports what Mallory does; Mallory learns nothing by reporting."""

from __future__ import annotations

import pytest

from homeserver.services.reports.reports import DAY_MS, MAX_OF_REPORTER, MAX_REASON_CHARACTERS
from homeserver.storage.reports import Report, ReportFilter, ReportRows
from tests.cast import Client, Server

NOT_FOUND = (404, "M_NOT_FOUND")
INVALID = (400, "M_INVALID_PARAM")


async def reports(server: Server, **wanted: str) -> list[Report]:
    return await ReportRows().page(server.application.base.database, ReportFilter(**wanted), 0, 100)  # type: ignore[arg-type]


async def room_of(alice: Client, *others: Client) -> str:
    room_id = await alice.create_room(preset="public_chat")
    for each in others:
        await each.join(room_id)
    return room_id


async def test_a_report_of_an_event_says_who_what_and_why(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await room_of(alice, mallory)
    event_id = await mallory.send(room_id, "an insult")
    path = ("rooms", room_id, "report", event_id)
    assert await alice.post(path, {"reason": "this makes me sad", "score": -50}) == {}
    await alice.post(path, {})
    second, first = await reports(server, kind="event")
    assert (first.reporter, first.about_user, first.room_id, first.event_id, first.reason, first.score) == (
        alice.user_id, mallory.user_id, room_id, event_id, "this makes me sad", -50,
    )  # fmt: skip
    assert first.received_ms == server.clock.now_ms()
    assert (second.reason, second.score) == (None, None)


async def test_rooms_and_users_are_reported_by_anybody(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await mallory.create_room()
    await alice.post(("rooms", room_id, "report"), {"reason": "spam"})
    await alice.post(("users", mallory.user_id, "report"), {"reason": ""})
    assert [(each.room_id, each.about_user, each.reason) for each in await reports(server, kind="room")] == [
        (room_id, None, "spam")
    ]
    assert [(each.room_id, each.about_user, each.reason) for each in await reports(server, kind="user")] == [
        (None, mallory.user_id, "")
    ]


async def test_answers_do_not_tell_what_exists(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room()
    await mallory.get("account/whoami")
    before = server.application.base.database.statements
    known = await mallory.post(("rooms", room_id, "report"), {"reason": "?"})
    cost = server.application.base.database.statements - before
    before = server.application.base.database.statements
    unknown = await mallory.post(("rooms", "!made_up:test", "report"), {"reason": "?"})
    assert server.application.base.database.statements - before == cost
    assert known == unknown == {}
    for user in (alice.user_id, "@nobody:test", "@somebody:elsewhere"):
        assert await mallory.post(("users", user, "report"), {"reason": "?"}) == {}


async def test_events_that_mallory_may_not_see_are_not_there(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    hidden = await room_of(alice)
    await alice.set_state(hidden, "m.room.history_visibility", {"history_visibility": "joined"})
    early = await alice.send(hidden, "among us")
    own_room = await mallory.create_room()
    body = {"reason": "?"}
    # Not a member; made up; of another room; from before she came; after she left.
    answers = [await mallory.post(("rooms", hidden, "report", early), body, expect=NOT_FOUND)]
    answers.append(await mallory.post(("rooms", hidden, "report", "$" + "a" * 43), body, expect=NOT_FOUND))
    answers.append(await mallory.post(("rooms", "!none:test", "report", early), body, expect=NOT_FOUND))
    answers.append(await mallory.post(("rooms", own_room, "report", early), body, expect=NOT_FOUND))
    await mallory.join(hidden)
    answers.append(await mallory.post(("rooms", hidden, "report", early), body, expect=NOT_FOUND))
    late = await alice.send(hidden, "hello Mallory")
    await mallory.leave(hidden)
    answers.append(await mallory.post(("rooms", hidden, "report", late), body, expect=NOT_FOUND))
    assert all(answer == answers[0] for answer in answers)
    assert await reports(server, kind="event") == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "M_MISSING_PARAM")),
        ({"reason": None}, (400, "M_BAD_JSON")),
        ({"reason": 7}, (400, "M_BAD_JSON")),
        ({"reason": "x" * (MAX_REASON_CHARACTERS + 1)}, INVALID),
        ({"reason": "a\0b"}, (400, "M_BAD_JSON")),
        ({"reason": "\ud800"}, (400, "M_NOT_JSON")),
        ({"reason": "x" * 70_000}, (413, "M_TOO_LARGE")),
    ],
)
async def test_reasons_are_text_of_a_bounded_length(server: Server, body: object, expected: tuple[int, str]) -> None:
    alice = await server.register("alice")
    await alice.post(("users", "@mallory:test", "report"), body, expect=expected)
    await alice.post(("rooms", "!room:test", "report"), body, expect=expected)
    assert await reports(server, kind="user") == []


async def test_what_is_no_id_cannot_be_reported(server: Server) -> None:
    alice = await server.register("alice")
    await alice.post(("users", "mallory", "report"), {"reason": ""}, expect=INVALID)
    await alice.post(("users", "@" + "m" * 300 + ":test", "report"), {"reason": ""}, expect=INVALID)
    await alice.post(("rooms", "#alias:test", "report"), {"reason": ""}, expect=INVALID)
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "x")
    await alice.post(("rooms", room_id, "report", "event"), {}, expect=INVALID)
    for score in (1, -101):
        await alice.post(("rooms", room_id, "report", event_id), {"score": score}, expect=INVALID)
    await alice.post(("rooms", room_id, "report", event_id), {"score": "bad"}, expect=(400, "M_BAD_JSON"))
    await server.anonymous().post(("users", "@m:test", "report"), {"reason": ""}, expect=(401, "M_MISSING_TOKEN"))


async def test_a_reporter_fills_no_table(server: Server) -> None:
    mallory, alice = await server.register("mallory"), await server.register("alice")
    await server.application.base.database.execute(
        "INSERT INTO reports (kind, reporter, about_user, received_ms) SELECT 'user', $1, '@x:test', $2 "
        "FROM generate_series(1, $3::int)",
        mallory.user_id, server.clock.now_ms(), MAX_OF_REPORTER,
    )  # fmt: skip
    await mallory.post(("users", "@y:test", "report"), {"reason": ""}, expect=(429, "M_LIMIT_EXCEEDED"))
    await alice.post(("users", "@y:test", "report"), {"reason": ""})
    server.clock.advance(ms=366 * DAY_MS)
    await server.application.reports.reports.tidy()
    assert await reports(server, kind="user") == []


async def test_reports_are_found_by_who_where_and_about_whom(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await room_of(alice, mallory)
    events = [await mallory.send(room_id, str(number)) for number in range(3)]
    for event_id in events:
        await alice.post(("rooms", room_id, "report", event_id), {})
    own = await alice.send(room_id, "sorry")
    await mallory.post(("rooms", room_id, "report", own), {})
    rows, database = ReportRows(), server.application.base.database
    by_alice = ReportFilter("event", reporter=alice.user_id)
    assert await rows.count(database, by_alice) == 3
    assert [each.event_id for each in await rows.page(database, by_alice, 1, 1)] == [events[1]]
    oldest = await rows.page(database, ReportFilter("event", room_id=room_id), 0, 10, oldest_first=True)
    assert [each.event_id for each in oldest] == [*events, own]
    about = await rows.page(database, ReportFilter("event", about_user=alice.user_id), 0, 10)
    assert [each.event_id for each in about] == [own]
    assert (await rows.get(database, "event", about[0].report_id)) == about[0]
    assert await rows.get(database, "room", about[0].report_id) is None
    assert await rows.delete(database, "event", about[0].report_id)
    assert not await rows.delete(database, "event", about[0].report_id)
