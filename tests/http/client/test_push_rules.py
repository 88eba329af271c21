"""The API of push rules; what the rules do is tested in tests/protocol and tests/services/readers."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.cast import Client, Server

CAKE: dict[str, Any] = {"pattern": "cake", "actions": ["notify"]}


def _rule(kind: str, rule_id: str, *attribute: str) -> tuple[str, ...]:
    return ("pushrules", "global", kind, rule_id, *attribute)


async def _ids(client: Client, kind: str) -> list[str]:
    rules = (await client.get("pushrules/global/"))[kind]
    return [rule["rule_id"] for rule in rules if not rule["default"]]


async def test_everybody_begins_with_the_default_rules(server: Server) -> None:
    alice = await server.register("alice")
    rules = await alice.get("pushrules/")
    assert rules == {"global": await alice.get("pushrules/global/")}
    assert rules == await alice.get(("user", alice.user_id, "account_data", "m.push_rules"))
    assert rules["global"]["override"][0]["rule_id"] == ".m.rule.master"
    mention = await alice.get(_rule("override", ".m.rule.is_user_mention"))
    assert mention["conditions"][0]["value"] == alice.user_id


async def test_a_rule_is_added_changed_and_deleted(server: Server) -> None:
    alice = await server.register("alice")
    await alice.put(_rule("content", "cake"), CAKE)
    assert await alice.get(_rule("content", "cake")) == {
        "rule_id": "cake", "default": False, "enabled": True, **CAKE
    }  # fmt: skip
    await alice.put(_rule("content", "cake", "enabled"), {"enabled": False})
    await alice.put(_rule("content", "cake", "actions"), {"actions": []})
    assert await alice.get(_rule("content", "cake", "enabled")) == {"enabled": False}
    assert await alice.get(_rule("content", "cake", "actions")) == {"actions": []}
    await alice.delete(_rule("content", "cake"))
    for method in (alice.get, alice.delete):
        await method(_rule("content", "cake"), expect=(404, "M_NOT_FOUND"))
    for attribute, body in (("enabled", {"enabled": True}), ("actions", {"actions": []})):
        await alice.get(_rule("content", "cake", attribute), expect=(404, "M_NOT_FOUND"))
        await alice.put(_rule("content", "cake", attribute), body, expect=(404, "M_NOT_FOUND"))


async def test_all_rules_of_a_kind(server: Server) -> None:
    alice = await server.register("alice")
    await alice.put(_rule("content", "cake"), CAKE)
    # The schema takes this for a rule whose id is empty.
    listed = (await alice.raw("GET", "pushrules/global/content/", check=False)).json()
    assert listed == (await alice.get("pushrules/global/"))["content"]
    assert listed[0]["rule_id"] == "cake"
    await alice.get("pushrules/global/nonsense/", expect=(400, "M_INVALID_PARAM"))


async def test_historical_actions_are_kept_and_mean_nothing(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rule = _rule("underride", ".m.rule.room_one_to_one", "actions")
    await alice.put(rule, {"actions": ["dont_notify"]})
    assert await alice.get(rule) == {"actions": ["dont_notify"]}
    room_id = await bob.create_room(preset="public_chat")
    await alice.join(room_id)
    await bob.send(room_id, "hello everybody")
    assert (await alice.sync()).room(room_id)["unread_notifications"]["notification_count"] == 0
    await alice.put(rule, {"actions": ["coalesce", "notify"]})
    await bob.send(room_id, "hello again")
    assert (await alice.sync()).room(room_id)["unread_notifications"]["notification_count"] > 0


@pytest.mark.parametrize(
    "path", ["not_a_scope/", "device/x/room/!r:test", "global", "global/room", "global/override/.m.rule.master/colour"]
)
async def test_paths_that_name_no_rule(server: Server, path: str) -> None:
    alice = await server.register("alice")
    await alice.get(f"pushrules/{path}", expect=(400, "M_UNRECOGNIZED"))
    await alice.put(f"pushrules/{path}", {}, expect=(400, "M_UNRECOGNIZED"))
    await alice.put("pushrules/", {}, expect=(400, "M_UNRECOGNIZED"))
    await alice.get("pushrules", expect=(404, "M_UNRECOGNIZED"))


async def test_rules_have_an_order(server: Server) -> None:
    alice = await server.register("alice")
    for rule_id in ("one", "two", "three"):
        await alice.put(_rule("content", rule_id), CAKE)
    assert await _ids(alice, "content") == ["three", "two", "one"]
    await alice.request("PUT", _rule("content", "four"), json=CAKE, query={"before": "two"})
    await alice.request("PUT", _rule("content", "three"), json=CAKE, query={"after": "one"})
    assert await _ids(alice, "content") == ["four", "two", "one", "three"]
    unknown = {"before": "nowhere"}
    await alice.request("PUT", _rule("content", "x"), json=CAKE, query=unknown, expect=(400, "M_UNKNOWN"))


async def test_default_rules_change_but_do_not_go(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await alice.put(_rule("override", ".m.rule.master", "enabled"), {"enabled": True})
    assert await alice.get(_rule("override", ".m.rule.master", "enabled")) == {"enabled": True}
    assert await bob.get(_rule("override", ".m.rule.master", "enabled")) == {"enabled": False}
    await alice.delete(_rule("override", ".m.rule.master"), expect=(404, "M_NOT_FOUND"))
    await alice.put(_rule("content", ".m.rule.mine"), CAKE, expect=(400, "M_INVALID_PARAM"))


async def test_changes_are_account_data_to_sync(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    source = server.application.readers.account_data
    since = source.stream.current
    await alice.put(_rule("content", "cake"), CAKE)
    now = source.stream.current
    (event,) = (await source.changed(alice.user_id, since, now)).everywhere
    assert orjson.loads(event) == {"type": "m.push_rules", "content": await alice.get("pushrules/")}
    assert (await source.changed(bob.user_id, since, now)).everywhere == []
    source.changes.recent.load(now)
    assert (await source.changed(alice.user_id, since, now)).everywhere == [event]
    assert event in (await source.everything(alice.user_id)).everywhere


async def test_changes_at_the_same_time_are_all_kept(server: Server) -> None:
    alice = await server.register("alice")
    await asyncio.gather(*(alice.put(_rule("content", f"rule{number}"), CAKE) for number in range(5)))
    assert len(await _ids(alice, "content")) == 5


@pytest.mark.parametrize(
    ("kind", "rule_id", "body", "errcode"),
    [
        ("nonsense", "x", CAKE, "M_INVALID_PARAM"),
        ("content", "x", {"actions": ["notify"]}, "M_MISSING_PARAM"),
        ("override", "x", {"actions": ["notify"]}, "M_MISSING_PARAM"),
        ("override", "x", {"actions": ["notify"], "conditions": ["x"]}, "M_INVALID_PARAM"),
        ("content", "x", {"pattern": "cake"}, "M_MISSING_PARAM"),
        ("content", "x", {"pattern": "cake", "actions": ["explode"]}, "M_INVALID_PARAM"),
        ("content", "x", {"pattern": "cake", "actions": "notify"}, "M_BAD_JSON"),
        ("content", "x", {"pattern": "a\0b", "actions": ["notify"]}, "M_BAD_JSON"),
        ("override", "x", {"actions": [], "conditions": [{"kind": "\0"}]}, "M_BAD_JSON"),
        ("content", "x" * 300, CAKE, "M_INVALID_PARAM"),
        ("content", "a/b", CAKE, "M_INVALID_PARAM"),
        ("content", "a\\b", CAKE, "M_INVALID_PARAM"),
    ],
)
async def test_rules_that_are_refused(server: Server, kind: str, rule_id: str, body: Any, errcode: str) -> None:
    alice = await server.register("alice")
    await alice.put(_rule(kind, rule_id), body, expect=(400, errcode))
    assert await _ids(alice, "content") == []
