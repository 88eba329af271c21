"""Alice invites people of whom she knows an e-mail address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import OutgoingHttpSettings, Settings
from tests.cast import Client, Server
from tests.federation.authority import Authority
from tests.homeserver import server_settings
from tests.identity_server import TOKEN, IdentityServer, identity_server

BOB = "bob@example.org"


@pytest.fixture
async def ids(tmp_path: Path) -> AsyncIterator[IdentityServer]:
    async with identity_server(Authority(tmp_path).context("127.0.0.1")) as ids:
        yield ids


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, outgoing_http=OutgoingHttpSettings(verify_tls=False, ip_denylist=()))


def invitee(ids: IdentityServer, address: str = BOB, **changes: Any) -> dict[str, Any]:
    return {"id_server": ids.name, "id_access_token": TOKEN, "medium": "email", "address": address, **changes}


async def invite(
    alice: Client, room_id: str, ids: IdentityServer, address: str = BOB, *, expect: Any = 200, **changes: Any
) -> None:
    await alice.post(("rooms", room_id, "invite"), invitee(ids, address, **changes), expect=expect)


async def membership(alice: Client, room_id: str, user: Client) -> str | None:
    members = (await alice.get(("rooms", room_id, "members")))["chunk"]
    found: list[str] = [each["content"]["membership"] for each in members if each["state_key"] == user.user_id]
    return found[0] if found else None


async def pending(alice: Client, room_id: str) -> dict[str, Any]:
    """The invitation that waits in the room."""
    state = await alice.get(("rooms", room_id, "state"))
    [event] = [each for each in state if each["type"] == "m.room.third_party_invite"]
    found: dict[str, Any] = event
    return found


async def test_somebody_whom_the_identity_server_knows_is_invited(server: Server, ids: IdentityServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    ids.bind("email", BOB, bob.user_id)
    room_id = await alice.create_room()
    await invite(alice, room_id, ids, "BOB@Example.org")
    assert await membership(alice, room_id, bob) == "invite"
    assert ids.stored == []
    # What bob blocks, nobody can do by another way.
    await invite(alice, room_id, ids)
    assert room_id in (await bob.sync())["rooms"]["invite"]


async def test_somebody_unknown_comes_when_he_has_proved_his_address(server: Server, ids: IdentityServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "Alice"})
    room_id = await alice.create_room(name="A room", room_alias_name="here")
    await invite(alice, room_id, ids)
    [stored] = ids.stored
    assert {name: stored[name] for name in ("room_name", "room_alias", "sender_display_name", "room_join_rules")} == {
        "room_name": "A room", "room_alias": "#here:test", "sender_display_name": "Alice", "room_join_rules": "invite",
    }  # fmt: skip
    event = await pending(alice, room_id)
    assert (event["state_key"], event["sender"]) == (stored["token"], alice.user_id)
    content = event["content"]
    assert content["display_name"] == "b...@e..."
    assert content["public_keys"][0]["public_key"] == content["public_key"]
    assert BOB not in str(event), "addresses are nobody's business"
    await ids.tell(server.anonymous(), "email", BOB, bob.user_id)
    assert await membership(alice, room_id, bob) == "invite"
    await bob.join(room_id)
    assert "/pubkey/isvalid" in ids.asked


async def test_identity_servers_of_old_use_post(server: Server, ids: IdentityServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room()
    await invite(alice, room_id, ids)
    await ids.tell(server.anonymous(), "email", BOB, bob.user_id, method="POST")
    assert await membership(alice, room_id, bob) == "invite"


async def test_the_invitation_stands_when_alice_has_left(server: Server, ids: IdentityServer) -> None:
    alice, carol, bob = [await server.register(name) for name in ("alice", "carol", "bob")]
    room_id = await alice.create_room(invite=[carol.user_id])
    await carol.join(room_id)
    await invite(alice, room_id, ids)
    await alice.leave(room_id)
    await ids.tell(server.anonymous(), "email", BOB, bob.user_id)
    await bob.join(room_id)
    assert await membership(carol, room_id, bob) == "join"


async def test_bob_shows_himself_what_was_signed(server: Server, ids: IdentityServer) -> None:
    alice, bob, mallory = [await server.register(name) for name in ("alice", "bob", "mallory")]
    room_id = await alice.create_room()
    await invite(alice, room_id, ids)
    token = (await pending(alice, room_id))["state_key"]
    good = ids.signed(bob.user_id, token, sender=alice.user_id, key=1)
    for signed, expect in (
        (good, {400, 403}),  # it is not mallory's
        (ids.signed(mallory.user_id, "other", sender=alice.user_id), 403),
        (ids.signed(mallory.user_id, token), (400, "M_INVALID_PARAM")),
        ({**good, "mxid": mallory.user_id}, {400, 403}),
        ("x", (400, "M_BAD_JSON")),
        ({}, (400, "M_INVALID_PARAM")),
        ({**good, "sender": mallory.user_id, "mxid": mallory.user_id}, {400, 403}),
    ):
        await mallory.post(("join", room_id), {"third_party_signed": signed}, expect=expect)
    await bob.post(("join", room_id), {"third_party_signed": good})
    assert "third_party_signed" not in await alice.state(room_id, "m.room.member", bob.user_id)
    assert await membership(alice, room_id, bob) == "join"
    assert await membership(alice, room_id, mallory) is None


async def test_an_identity_server_that_takes_its_keys_back_invites_nobody(server: Server, ids: IdentityServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room()
    await invite(alice, room_id, ids)
    news = ids.news_of("email", BOB, bob.user_id)
    token = (await pending(alice, room_id))["state_key"]
    signed = ids.signed(bob.user_id, token, sender=alice.user_id)
    ids.rotate_keys()
    path = "/_matrix/federation/v1/3pid/onbind"
    await server.anonymous().put(path, news, expect=403)
    # Valid keys, but not the room's.
    await server.anonymous().put(path, ids.news_of("email", BOB, bob.user_id), expect=403)
    await bob.join(room_id, expect=403)
    await bob.post(("join", room_id), {"third_party_signed": signed}, expect=(403, "M_FORBIDDEN"))
    for body in (b"{}", b'{"valid": 1}', b"[]", b"<html>"):

        async def answer(request: web.Request, body: bytes = body) -> web.StreamResponse:
            return web.Response(body=body)

        ids.answers["/pubkey/isvalid"] = answer
        await bob.post(("join", room_id), {"third_party_signed": signed}, expect=(403, "M_FORBIDDEN"))
    assert await membership(alice, room_id, bob) is None


async def test_a_withdrawn_invitation_is_none(server: Server, ids: IdentityServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room()
    await invite(alice, room_id, ids)
    event = await pending(alice, room_id)
    await alice.set_state(room_id, "m.room.third_party_invite", {}, event["state_key"])
    await ids.tell(server.anonymous(), "email", BOB, bob.user_id, expect=403)
    assert await membership(alice, room_id, bob) is None


async def test_only_who_may_invite_makes_us_ask(server: Server, ids: IdentityServer) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await invite(mallory, room_id, ids, expect=(403, "M_FORBIDDEN"))
    await mallory.join(room_id)
    await invite(mallory, room_id, ids, expect=(403, "M_FORBIDDEN"))
    await invite(mallory, "!nowhere:test", ids, expect={403, 404})
    assert ids.asked == []


async def test_people_are_invited_into_a_new_room(server: Server, ids: IdentityServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    ids.bind("email", BOB, bob.user_id)
    wanted = [
        invitee(ids),
        invitee(ids, "carol@example.org"),
        invitee(ids, "dora@example.org", id_access_token="wrong"),
    ]
    room_id = await alice.create_room(invite_3pid=wanted, is_direct=True)
    assert await membership(alice, room_id, bob) == "invite"
    assert (await alice.state(room_id, "m.room.member", bob.user_id))["is_direct"] is True
    assert [each["address"] for each in ids.stored] == ["carol@example.org"]
    assert await pending(alice, room_id)


async def test_a_pepper_that_changes_is_asked_for_again(server: Server, ids: IdentityServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    ids.bind("email", BOB, bob.user_id)
    room_id = await alice.create_room()

    async def stale(request: web.Request) -> web.StreamResponse:
        del ids.answers["/hash_details"]
        return web.json_response({"lookup_pepper": "stale", "algorithms": ["sha256"]})

    ids.answers["/hash_details"] = stale
    await invite(alice, room_id, ids)
    assert ids.asked == ["/hash_details", "/lookup", "/hash_details", "/lookup"]
    assert await membership(alice, room_id, bob) == "invite"


async def test_addresses_are_never_sent_in_the_open_to_be_looked_up(server: Server, ids: IdentityServer) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    ids.algorithms = ["none"]
    await invite(alice, room_id, ids, expect=502)
    assert ids.asked == ["/hash_details"]


NONSENSE: list[tuple[str, Any]] = [
    ("/hash_details", {}),
    ("/hash_details", {"lookup_pepper": 7, "algorithms": ["sha256"]}),
    ("/hash_details", {"lookup_pepper": "x" * 5000, "algorithms": ["sha256"]}),
    ("/hash_details", {"lookup_pepper": "x", "algorithms": "sha256"}),
    ("/store-invite", {}),
    ("/store-invite", {"token": "", "public_key": "x"}),
    ("/store-invite", {"token": "x" * 256, "public_key": "x"}),
    ("/store-invite", {"token": "\0", "public_key": "x"}),
    ("/store-invite", {"token": "x", "public_keys": []}),
    ("/store-invite", {"token": "x", "public_keys": [7, {"public_key": 7}, {"public_key": "x" * 5000}]}),
    ("/store-invite", {"token": "x", "public_keys": {"public_key": "x"}}),
]


async def test_answers_that_make_no_sense(server: Server, ids: IdentityServer) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    for path, body in NONSENSE:

        async def answer(request: web.Request, body: Any = body) -> web.StreamResponse:
            return web.json_response(body)

        ids.answers = {path: answer}
        await invite(alice, room_id, ids, expect=502)
    state = await alice.get(("rooms", room_id, "state"))
    assert all(each["type"] != "m.room.third_party_invite" for each in state)


async def test_a_lookup_that_names_nobody_real(server: Server, ids: IdentityServer) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    for number, mapped in enumerate(("not a user", 7, None, [], "@" + "x" * 300 + ":test")):

        async def answer(request: web.Request, mapped: Any = mapped) -> web.StreamResponse:
            [digest] = (await request.json())["addresses"]
            return web.json_response({"mappings": {digest: mapped}})

        ids.answers["/lookup"] = answer
        await invite(alice, room_id, ids)
        assert len(ids.stored) == number + 1


NO_INVITATIONS: list[dict[str, Any]] = [
    {"address": ""}, {"address": "nobody"}, {"address": "a@\nb"}, {"medium": ""}, {"medium": "x" * 65},
    {"medium": "e\nmail"}, {"id_server": "https://example.org"}, {"id_access_token": "a b"},
    {"medium": "msisdn", "address": ""}, {"medium": "msisdn", "address": "7" * 300},
]  # fmt: skip


async def test_what_is_no_invitation(server: Server, ids: IdentityServer) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    for changes in NO_INVITATIONS:
        await invite(alice, room_id, ids, expect=(400, "M_INVALID_PARAM"), **changes)
        await alice.post("createRoom", {"invite_3pid": [invitee(ids, **changes)]}, expect=(400, "M_INVALID_PARAM"))
    assert ids.asked == []


async def test_what_is_missing_or_too_much(server: Server, ids: IdentityServer) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    for name in ("id_server", "id_access_token", "medium", "address"):
        body = {key: value for key, value in invitee(ids).items() if key != name}
        await alice.post(("rooms", room_id, "invite"), body, expect=(400, "M_MISSING_PARAM"))
    await alice.post("createRoom", {"invite_3pid": [invitee(ids)] * 21}, expect=(400, "M_INVALID_PARAM"))
    await alice.post("createRoom", {"invite_3pid": ["x"]}, expect=(400, "M_BAD_JSON"))
    assert ids.asked == []
