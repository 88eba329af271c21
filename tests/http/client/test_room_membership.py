"""Who comes into rooms, who goes, who is thrown out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server


async def membership(client: Client, room_id: str, user: Client) -> dict[str, Any]:
    content: dict[str, Any] = await client.state(room_id, "m.room.member", user.user_id)
    return content


async def test_bob_joins_by_invitation_only(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(invite=[bob.user_id])
    await mallory.join(room_id, expect=(403, "M_FORBIDDEN"))
    await bob.join(room_id)
    assert (await bob.get("joined_rooms"))["joined_rooms"] == [room_id]
    assert (await mallory.get("joined_rooms"))["joined_rooms"] == []


async def test_joining_twice_changes_nothing(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    database = server.application.base.database
    before = await database.fetchval("SELECT count(*) FROM events")
    await alice.join(room_id)
    await alice.post(("rooms", room_id, "join"))
    assert await database.fetchval("SELECT count(*) FROM events") == before


async def test_rooms_that_do_not_exist_cannot_be_joined(server: Server) -> None:
    alice = await server.register("alice")
    await alice.join("!nowhere:test", expect=(404, "M_NOT_FOUND"))
    await alice.join("#nothing:test", expect=(404, "M_NOT_FOUND"))
    await alice.join("nonsense", expect=(400, "M_INVALID_PARAM"))
    await alice.post(("rooms", "nonsense", "join"), expect=(404, "M_NOT_FOUND"))


async def test_a_reason_is_told(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.post(("join", room_id), {"reason": "curious"})
    assert (await membership(alice, room_id, bob))["reason"] == "curious"
    await bob.post(("rooms", room_id, "leave"), {"reason": "bored"})
    assert (await membership(alice, room_id, bob)) == {"membership": "leave", "reason": "bored"}
    await bob.post(("join", room_id), {"reason": "x" * 3000}, expect=(400, "M_INVALID_PARAM"))
    await bob.post(("join", room_id), {"reason": 7}, expect=(400, "M_BAD_JSON"))


async def test_what_bob_adds_to_his_join_is_in_his_member_event(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    forbidden = {"membership": "ban", "join_authorised_via_users_server": alice.user_id}
    await bob.post(("join", room_id), {"org.example.foo": ["bar"], "displayname": "Bobby", **forbidden})
    added = {"org.example.foo": ["bar"], "displayname": "Bobby"}
    assert await membership(alice, room_id, bob) == {"membership": "join", **added}
    await bob.post(("rooms", room_id, "join"), {})
    assert await membership(alice, room_id, bob) == {"membership": "join", **added}
    await bob.post(("rooms", room_id, "join"), {"foo": 1.5}, expect=(400, "M_BAD_JSON"))
    await bob.post(("rooms", room_id, "join"), {"displayname": 5}, expect=(400, "M_BAD_JSON"))


async def test_leaving_declines_an_invitation_and_is_done_once(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(invite=[bob.user_id])
    await bob.leave(room_id)
    await bob.leave(room_id)
    await bob.join(room_id, expect=(403, "M_FORBIDDEN"))
    await mallory.leave(room_id, expect=(403, "M_FORBIDDEN"))
    await mallory.leave("!nowhere:test", expect=(404, "M_NOT_FOUND"))


async def test_only_those_with_power_put_others_out(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await mallory.kick(room_id, bob, expect=(403, "M_FORBIDDEN"))
    await mallory.join(room_id)
    for verb in (mallory.kick, mallory.ban):
        await verb(room_id, bob, expect=(403, "M_FORBIDDEN"))
        await verb(room_id, alice, expect=(403, "M_FORBIDDEN"))
    await alice.kick(room_id, mallory)
    await alice.kick(room_id, mallory, expect=(403, "M_FORBIDDEN"))
    assert (await membership(alice, room_id, mallory))["membership"] == "leave"
    await mallory.join(room_id)


async def test_a_ban_holds_until_it_is_lifted(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    await alice.post(("rooms", room_id, "ban"), {"user_id": mallory.user_id, "reason": "spam"})
    assert await membership(alice, room_id, mallory) == {"membership": "ban", "reason": "spam"}
    await mallory.join(room_id, expect=(403, "M_FORBIDDEN"))
    await mallory.leave(room_id, expect=(403, "M_FORBIDDEN"))
    await alice.invite(room_id, mallory, expect=(403, "M_BAD_STATE"))
    await alice.kick(room_id, mallory, expect=(403, "M_BAD_STATE"))
    await alice.post(("rooms", room_id, "unban"), {"user_id": mallory.user_id})
    await alice.post(("rooms", room_id, "unban"), {"user_id": mallory.user_id}, expect=(403, "M_BAD_STATE"))
    await mallory.join(room_id)


async def test_people_may_be_banned_before_they_come(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await alice.ban(room_id, mallory)
    await alice.ban(room_id, "@stranger:elsewhere.org")
    await alice.ban(room_id, "nonsense", expect=(400, "M_INVALID_PARAM"))
    await mallory.join(room_id, expect=(403, "M_FORBIDDEN"))


async def test_invitations(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room()
    await mallory.invite(room_id, bob, expect=(403, "M_FORBIDDEN"))
    await alice.invite(room_id, bob)
    await alice.invite(room_id, bob)
    await bob.join(room_id)
    await alice.invite(room_id, bob, expect=(403, "M_FORBIDDEN"))
    # A private room lets every member invite; who does not exist yet may come later.
    await bob.invite(room_id, "@nobody:test")
    await alice.invite(room_id, "@eve:nowhere.invalid", expect=(502, "M_CONNECTION_FAILED"))
    await alice.invite(room_id, "nonsense", expect=(400, "M_INVALID_PARAM"))
    await alice.post(("rooms", room_id, "invite"), {}, expect=(400, "M_MISSING_PARAM"))


async def test_nobody_is_invited_through_an_identity_server_that_is_not_there(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    by_mail = {"id_server": "id.org", "id_access_token": "x", "medium": "email", "address": "bob@example.org"}
    await alice.post(("rooms", room_id, "invite"), by_mail, expect=(502, "M_CONNECTION_FAILED"))
    # The room is there all the same.
    assert await alice.create_room(invite_3pid=[by_mail])


async def test_who_blocks_invitations_gets_none(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room()
    path = ("user", bob.user_id, "account_data", "m.invite_permission_config")
    await bob.put(path, {"default_action": "block"})
    await alice.invite(room_id, bob, expect=(403, "M_INVITE_BLOCKED"))
    await alice.post("createRoom", {"invite": [bob.user_id]}, expect=(403, "M_INVITE_BLOCKED"))
    await alice.set_state(
        room_id, "m.room.member", {"membership": "invite"}, bob.user_id, expect=(403, "M_INVITE_BLOCKED")
    )
    await bob.put(path, {})
    await alice.invite(room_id, bob)


async def test_the_state_endpoint_keeps_the_same_rules(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(preset="public_chat")

    async def put(client: Client, user: Client, content: Any, expect: Any = 200) -> None:
        await client.set_state(room_id, "m.room.member", content, user.user_id, expect=expect)

    await put(bob, bob, {"membership": "join", "displayname": "Bobby", "org.example.mood": "fine"})
    assert await membership(alice, room_id, bob) == {
        "membership": "join",
        "displayname": "Bobby",
        "org.example.mood": "fine",
    }
    await put(alice, mallory, {"membership": "join"}, (403, "M_FORBIDDEN"))
    await put(alice, mallory, {"membership": "dance"}, (400, "M_BAD_JSON"))
    await put(alice, mallory, {"membership": ["ban"]}, (400, "M_BAD_JSON"))
    await put(bob, bob, {"membership": "join", "displayname": 5}, (400, "M_BAD_JSON"))
    await put(alice, mallory, {"membership": "ban"})
    await put(bob, mallory, {"membership": "leave"}, (403, "M_FORBIDDEN"))
    await put(alice, mallory, {"membership": "leave"})
    await put(alice, mallory, {"membership": "invite"})
    await put(mallory, mallory, {"membership": "leave"})
    await put(bob, bob, {"membership": "leave"})
    await alice.set_state(room_id, "m.room.member", {"membership": "ban"}, "x", expect=(400, "M_INVALID_PARAM"))


async def test_nobody_vouches_for_himself(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    space = await alice.create_room(creation_content={"type": "m.space"})
    rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room_id = await alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": rules}])
    forged = {"membership": "join", "join_authorised_via_users_server": alice.user_id}
    await mallory.set_state(room_id, "m.room.member", forged, mallory.user_id, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("version", ["8", "10", "11", "12"])
async def test_members_of_a_space_join_its_restricted_room(server: Server, version: str) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    space = await alice.create_room(preset="public_chat", creation_content={"type": "m.space"})
    rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room_id = await alice.create_room(
        room_version=version, initial_state=[{"type": "m.room.join_rules", "content": rules}]
    )
    await mallory.join(room_id, expect=(403, "M_FORBIDDEN"))
    await bob.join(space)
    await bob.join(room_id)
    member = await membership(alice, room_id, bob)
    assert member["join_authorised_via_users_server"] == alice.user_id


async def test_a_restricted_room_without_a_host_grants_nothing(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    space = await alice.create_room(preset="public_chat")
    await bob.join(space)
    rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room_id = await alice.create_room(
        room_version="11", initial_state=[{"type": "m.room.join_rules", "content": rules}]
    )
    levels = await alice.state(room_id, "m.room.power_levels")
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "invite": 101}, expect=(403, "M_FORBIDDEN"))
    await alice.leave(room_id)
    await bob.join(room_id, expect=(400, "M_UNABLE_TO_GRANT_JOIN"))


async def test_bob_knocks_and_is_let_in(server: Server) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room(
        initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}], room_alias_name="door"
    )
    assert await bob.post(("knock", "#door:test"), {"reason": "me!"}) == {"room_id": room_id}
    assert await membership(alice, room_id, bob) == {"membership": "knock", "displayname": "bob", "reason": "me!"}
    await bob.join(room_id, expect=(403, "M_FORBIDDEN"))
    await alice.invite(room_id, bob)
    await bob.post(("knock", room_id), expect=(403, "M_FORBIDDEN"))
    await bob.join(room_id)
    await alice.ban(room_id, mallory)
    await mallory.post(("knock", room_id), expect=(403, "M_FORBIDDEN"))
    await mallory.post(("knock", await alice.create_room()), expect=(403, "M_FORBIDDEN"))
    await mallory.post(("knock", "#nothing:test"), expect=(404, "M_NOT_FOUND"))


async def test_a_knock_is_taken_back_or_refused(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await alice.create_room(initial_state=[rules])
    await bob.post(("knock", room_id))
    await bob.leave(room_id)
    await bob.post(("knock", room_id))
    await alice.kick(room_id, bob)
    assert (await membership(alice, room_id, bob))["membership"] == "leave"


async def test_a_room_is_forgotten_only_after_leaving(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.post(("rooms", room_id, "forget"), expect=(400, "M_UNKNOWN"))
    await bob.leave(room_id)
    await bob.post(("rooms", room_id, "forget"))
    await bob.post(("rooms", room_id, "forget"))
    await bob.post(("rooms", "!never:test", "forget"))
    await bob.join(room_id)


async def test_guests_come_where_they_are_welcome_and_go_when_they_no_longer_are(server: Server) -> None:
    alice, bob, guest = await server.register("alice"), await server.register("bob"), await server.guest()
    opened = {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}
    room_id = await alice.create_room(preset="public_chat", initial_state=[opened])
    closed = await alice.create_room(preset="public_chat")
    await guest.join(closed, expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    await guest.join(room_id)
    await bob.join(room_id)
    await guest.send(room_id, "hello")
    await alice.set_state(room_id, "m.room.guest_access", {"guest_access": "forbidden"})
    assert (await membership(alice, room_id, guest))["membership"] == "leave"
    assert (await membership(alice, room_id, bob))["membership"] == "join"
    await guest.put(("rooms", room_id, "send", "m.room.message", "t"), {"body": "still?"}, expect=(403, "M_FORBIDDEN"))


async def test_a_new_name_is_shown_in_every_room(server: Server) -> None:
    alice = await server.register("alice")
    rooms = [await alice.create_room() for _ in range(3)]
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "Alice Liddell"})
    for room_id in rooms:
        assert (await membership(alice, room_id, alice))["displayname"] == "Alice Liddell"


async def test_invitations_tell_who_is_invited(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await bob.put(("profile", bob.user_id, "displayname"), {"displayname": "Bob"})
    room_id = await alice.create_room(invite=[bob.user_id], is_direct=True)
    assert await membership(alice, room_id, bob) == {"membership": "invite", "displayname": "Bob", "is_direct": True}


async def test_a_deactivated_account_leaves_its_rooms(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    joined = await alice.create_room(preset="public_chat")
    await bob.join(joined)
    invited = await alice.create_room(invite=[bob.user_id])
    await server.application.accounts.accounts.deactivate(bob.user_id, erase=False)
    for room_id in (joined, invited):
        assert (await membership(alice, room_id, bob))["membership"] == "leave"


async def test_a_join_costs_at_most_twelve_statements(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    database = server.application.base.database
    before = database.statements
    await bob.join(room_id)
    assert database.statements - before <= 6
