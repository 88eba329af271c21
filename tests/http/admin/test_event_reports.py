"""Ada, an administrator, reads what people reported, and puts it away."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

REPORTS = "/_synapse/admin/v1/event_reports"
OURS = "/_voicechat/admin/v1/reports"
AUDIT = "/_voicechat/admin/v1/audit"


async def quarrel(server: Server) -> tuple[Client, Client, str, list[str]]:
    """Alice has reported two of Mallory's messages."""
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat", name="Hall", room_alias_name="hall")
    await mallory.join(room_id)
    insults = [await mallory.send(room_id, f"insult {number}") for number in range(2)]
    for event_id in insults:
        await alice.post(("rooms", room_id, "report", event_id), {"reason": "rude", "score": -80})
        server.clock.advance(seconds=30)
    return alice, mallory, room_id, insults


async def test_reports_are_listed_as_synapse_lists_them(server: Server, ada: Client) -> None:
    alice, mallory, room_id, insults = await quarrel(server)
    answer = await ada.get(REPORTS)
    assert (answer["total"], "next_token" in answer) == (2, False)
    newest, oldest = answer["event_reports"]
    assert oldest == {
        "id": oldest["id"], "received_ts": server.clock.now_ms() - 60_000, "room_id": room_id, "name": "Hall",
        "event_id": insults[0], "user_id": alice.user_id, "reason": "rude", "score": -80, "sender": mallory.user_id,
        "canonical_alias": "#hall:test",
    }  # fmt: skip
    assert (await ada.get(REPORTS, dir="f"))["event_reports"] == [oldest, newest]
    first = await ada.get(REPORTS, limit=1)
    assert (first["event_reports"], first["next_token"], first["total"]) == ([newest], 1, 2)
    assert (await ada.get(REPORTS, limit=1, **{"from": 1}))["event_reports"] == [oldest]
    for wanted in ({"user_id": alice.user_id}, {"room_id": room_id}, {"event_sender_user_id": mallory.user_id}):
        assert (await ada.get(REPORTS, **wanted))["total"] == 2
    assert await ada.get(REPORTS, user_id=mallory.user_id) == {"event_reports": [], "total": 0}


async def test_one_report_shows_the_event(server: Server, ada: Client) -> None:
    *_, insults = await quarrel(server)
    (listed, _) = (await ada.get(REPORTS, dir="f"))["event_reports"]
    report = await ada.get(f"{REPORTS}/{listed['id']}")
    event = report.pop("event_json")
    assert report == listed
    assert (event["content"]["body"], event["type"]) == ("insult 0", "m.room.message")
    assert {"signatures", "hashes", "prev_events", "auth_events"} <= set(event)
    (entry, *_) = (await ada.get(AUDIT, action="room.read_event"))["entries"]
    assert entry["details"] == {"event_id": insults[0], "report": listed["id"]}


async def test_a_report_is_put_away(server: Server, ada: Client) -> None:
    alice, *_ = await quarrel(server)
    report_id = (await ada.get(REPORTS))["event_reports"][0]["id"]
    assert await ada.delete(f"{REPORTS}/{report_id}") == {}
    await ada.get(f"{REPORTS}/{report_id}", expect=(404, "M_NOT_FOUND"))
    await ada.delete(f"{REPORTS}/{report_id}", expect=(404, "M_NOT_FOUND"))
    assert (await ada.get(REPORTS))["total"] == 1
    (entry,) = (await ada.get(AUDIT, action="report.delete"))["entries"]
    assert (entry["target"], entry["details"]["reporter"]) == (str(report_id), alice.user_id)


async def test_rooms_and_users_are_reported_too(server: Server, ada: Client) -> None:
    alice, mallory, room_id, _ = await quarrel(server)
    await alice.post(("rooms", room_id, "report"), {"reason": "a den of thieves"})
    await alice.post(("users", mallory.user_id, "report"), {"reason": "a thief"})
    (room,) = (await ada.get(f"{OURS}/rooms"))["reports"]
    assert room == {
        "id": room["id"], "received_ts": server.clock.now_ms(), "reporter": alice.user_id, "room_id": room_id,
        "about": None, "reason": "a den of thieves",
    }  # fmt: skip
    (user,) = (await ada.get(f"{OURS}/users", about=mallory.user_id))["reports"]
    assert (user["about"], user["room_id"]) == (mallory.user_id, None)
    await ada.delete(f"{OURS}/rooms/{user['id']}", expect=(404, "M_NOT_FOUND"))
    await ada.delete(f"{OURS}/users/{user['id']}")
    assert await ada.get(f"{OURS}/users") == {"reports": [], "total": 0}
    await ada.get(f"{OURS}/clouds", expect=(400, "M_INVALID_PARAM"))


async def test_ids_that_are_none(ada: Client) -> None:
    for report_id in ("x", "-1", "99999999999999999999", "1.5", "²"):
        path = ("", "_synapse", "admin", "v1", "event_reports", report_id)
        await ada.get(path, expect=(400, "M_INVALID_PARAM"))
        await ada.delete(path, expect=(400, "M_INVALID_PARAM"))


async def test_wrong_queries_are_refused(ada: Client) -> None:
    queries: list[dict[str, Any]] = [{"dir": "x"}, {"from": -1}, {"limit": "all"}]
    for query in queries:
        await ada.get(REPORTS, **query, expect=(400, "M_INVALID_PARAM"))


async def test_only_administrators_may(server: Server) -> None:
    mallory = await server.register("mallory")
    for path in (REPORTS, f"{REPORTS}/1", f"{OURS}/users"):
        await mallory.get(path, expect=(403, "M_FORBIDDEN"))
    for path in (f"{REPORTS}/1", f"{OURS}/users/1"):
        await mallory.delete(path, expect=(403, "M_FORBIDDEN"))
