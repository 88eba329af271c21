"""Ada, an administrator, looks up what was done, page by page; nobody else may."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

PATH = "/_voicechat/admin/v1/audit"


async def record(server: Server, action: str, target: str, **details: Any) -> None:
    audit = server.application.base.audit
    await audit.record_as(audit.queries, "@eve:test", action, target, details, address="192.0.2.1")


async def test_an_entry_says_who_did_what(server: Server, ada: Client) -> None:
    await record(server, "room.block", "!pub:test", block=True)
    (entry,) = (await ada.get(PATH, who="@eve:test"))["entries"]
    assert entry == {
        "id": entry["id"], "ts": server.clock.now_ms(), "who": "@eve:test", "address": "192.0.2.1",
        "action": "room.block", "target": "!pub:test", "details": {"block": True},
    }  # fmt: skip


async def test_pages_follow_each_other(server: Server, ada: Client) -> None:
    for number in range(5):
        await record(server, "room.block", f"!room{number}:test")
    seen, token = [], None
    for _ in range(3):
        answer = await ada.get(PATH, limit=2, **{"from": token}, action="room")
        seen += [entry["target"] for entry in answer["entries"]]
        token = answer.get("next_token")
    assert token is None
    assert seen == [f"!room{number}:test" for number in (4, 3, 2, 1, 0)]


async def test_nonsense_is_refused(ada: Client) -> None:
    queries: list[dict[str, Any]] = [
        {"limit": 0}, {"limit": "many"}, {"from": "x"}, {"from": -1}, {"since_ts": "today"}, {"until_ts": -5},
    ]  # fmt: skip
    for query in queries:
        await ada.get(PATH, **query, expect=(400, "M_INVALID_PARAM"))


async def test_only_administrators_read_it(server: Server) -> None:
    mallory = await server.register("mallory")
    await mallory.get(PATH, expect=(403, "M_FORBIDDEN"))
    await server.anonymous().get(PATH, expect=(401, "M_MISSING_TOKEN"))


async def test_ways_to_an_account_are_recorded(server: Server, ada: Client) -> None:
    tokens = "/_synapse/admin/v1/registration_tokens"
    await ada.post(f"{tokens}/new", {"token": "abcdefghijklmnop", "uses_allowed": 2})
    await ada.put(f"{tokens}/abcdefghijklmnop", {"uses_allowed": None})
    await ada.delete(f"{tokens}/abcdefghijklmnop")
    alice = await server.register("alice")
    await ada.get(("admin", "whois", alice.user_id))
    await alice.get(("admin", "whois", alice.user_id))
    required = await alice.post("/_matrix/client/v1/login/get_token", expect=401)
    auth = alice.password_auth(session=required["session"])
    await alice.post("/_matrix/client/v1/login/get_token", {"auth": auth})
    entries = (await ada.get(PATH))["entries"]
    assert [(entry["who"], entry["action"], entry["target"]) for entry in entries] == [
        ("@alice:test", "login_token.create", "@alice:test"),
        ("@ada:test", "user.whois", "@alice:test"),
        ("@ada:test", "registration_token.delete", "abcd…"),
        ("@ada:test", "registration_token.change", "abcd…"),
        ("@ada:test", "registration_token.create", "abcd…"),
        ("@ada:test", "login.password", "@ada:test"),
    ]
    assert entries[3]["details"] == {"uses_allowed": None}
    assert {entry["address"] for entry in entries} == {"127.0.0.1"}


async def test_a_request_through_a_proxy_is_recorded_with_where_it_came_from(server: Server, ada: Client) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        await ada.request("GET", ("admin", "whois", "@bob:test"), headers={"X-Forwarded-For": address})
    assert [entry["address"] for entry in (await ada.get(PATH))["entries"]] == ["192.0.2.2", "192.0.2.1", "127.0.0.1"]
