"""What bots of moderators (Draupnir, Meowlnir) do: lists of rules, server ACLs, reasons, redactions one by one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server


async def test_a_list_of_rules_is_kept_changed_and_read_by_who_follows_it(server: Server) -> None:
    bot, reader = await server.register("bot"), await server.register("reader")
    room_id = await bot.create_room(
        preset="public_chat",
        creation_content={"type": "support.feline.policy.lists.msc.v1"},
        initial_state=[
            {"type": "org.matrix.mjolnir.shortcode", "content": {"shortcode": "spam"}},
            {
                "type": "m.policy.rule.user",
                "state_key": "rule:@mallory:*",
                "content": {"entity": "@mallory:*", "recommendation": "m.ban", "reason": "spam"},
            },
        ],
    )
    await reader.join(room_id)
    server_rule = {"entity": "evil.example", "recommendation": "m.ban", "reason": "evil"}
    hashed = {"hashes": {"sha256": "x" * 43}, "recommendation": "org.matrix.msc4204.takedown", "reason": "worse"}
    await bot.set_state(room_id, "m.policy.rule.server", server_rule, "rule:evil.example")
    await bot.set_state(room_id, "m.policy.rule.room", hashed, "x" * 43)
    await bot.set_state(room_id, "m.policy.rule.user", {}, "rule:@mallory:*")
    state = {
        (each["type"], each["state_key"]): each["content"] for each in await reader.get(("rooms", room_id, "state"))
    }
    assert state["m.policy.rule.server", "rule:evil.example"] == server_rule
    assert state["m.policy.rule.room", "x" * 43] == hashed
    assert state["m.policy.rule.user", "rule:@mallory:*"] == {}
    types = {event["type"] for event in (await reader.sync()).timeline(room_id)}
    assert "m.policy.rule.server" in types
    # Rules are state: not everybody writes them.
    await reader.set_state(room_id, "m.policy.rule.user", server_rule, "rule:@alice:*", expect=403)


async def test_reasons_are_in_every_change_of_a_membership(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(room_version="11")

    async def reason() -> Any:
        return (await alice.state(room_id, "m.room.member", bob.user_id)).get("reason")

    target = {"user_id": bob.user_id}
    steps: list[tuple[Client, str, dict[str, Any]]] = [
        (alice, "invite", target), (bob, "join", {}), (alice, "kick", target), (alice, "ban", target),
        (alice, "unban", target), (alice, "invite", target), (bob, "leave", {}),
    ]  # fmt: skip
    for number, (who, verb, body) in enumerate(steps):
        await who.post(("rooms", room_id, verb), {**body, "reason": f"{verb} {number}"})
        assert await reason() == f"{verb} {number}"
    await alice.set_state(room_id, "m.room.join_rules", {"join_rule": "knock"})
    await bob.post(("knock", room_id), {"reason": "please"})
    assert await reason() == "please"
    await alice.set_state(room_id, "m.room.member", {"membership": "ban", "reason": "as state"}, bob.user_id)
    assert await reason() == "as state"


@pytest.mark.parametrize("verb", ["invite", "kick", "ban", "unban", "join", "leave"])
async def test_a_reason_is_text(server: Server, verb: str) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await alice.post(("rooms", room_id, verb), {"user_id": bob.user_id, "reason": {"a": 1}}, expect=400)


async def test_no_new_room_shuts_its_own_server_out(server: Server) -> None:
    alice = await server.register("alice")

    async def with_acl(content: Any, expect: Any, **more: Any) -> None:
        state = [{"type": "m.room.server_acl", "content": content, **more}]
        await alice.post("createRoom", {"initial_state": state}, expect=expect)

    refused = (400, "M_BAD_JSON")
    await with_acl({"allow": ["*"], "deny": ["test"]}, refused)
    await with_acl({"allow": ["other.example"]}, refused)
    await with_acl({}, refused)
    await with_acl({"allow": "*"}, refused)
    await with_acl({"allow": ["*"] * 100_000}, {400, 413})
    await with_acl({"allow": ["*"], "deny": ["evil.example"]}, 200)
    await with_acl({}, 200, state_key="not the list")
