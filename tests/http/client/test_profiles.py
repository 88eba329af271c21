"""Names, avatars and other fields of profiles."""

from __future__ import annotations

import pytest

from tests.cast import Server


async def test_a_new_account_is_called_as_its_user_name(server: Server) -> None:
    alice = await server.register("alice")
    assert await server.anonymous().get(("profile", alice.user_id)) == {"displayname": "alice"}


async def test_bob_sees_how_alice_calls_herself(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "Alice Liddell"})
    await alice.put(("profile", alice.user_id, "avatar_url"), {"avatar_url": "mxc://test/rabbit"})
    assert await bob.get(("profile", alice.user_id)) == {
        "displayname": "Alice Liddell",
        "avatar_url": "mxc://test/rabbit",
    }
    assert await bob.get(("profile", alice.user_id, "displayname")) == {"displayname": "Alice Liddell"}


async def test_any_field_with_a_namespace_can_be_set_and_deleted(server: Server) -> None:
    alice = await server.register("alice")
    path = ("profile", alice.user_id, "org.example.pronouns")
    value = [{"language": "en", "summary": "she/her", "weight": 1.5}, None]
    await alice.put(path, {"org.example.pronouns": value})
    assert await alice.get(path) == {"org.example.pronouns": value}
    await alice.delete(path)
    await alice.delete(path)
    await alice.get(path, expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize("key", ["displayname", "avatar_url"])
async def test_an_empty_text_takes_name_or_avatar_away(server: Server, key: str) -> None:
    alice = await server.register("alice")
    await alice.put(("profile", alice.user_id, key), {key: "mxc://test/cat"})
    await alice.put(("profile", alice.user_id, key), {key: ""})
    assert await alice.get(("profile", alice.user_id, key)) == {}


async def test_mallory_cannot_rename_alice(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    path = ("profile", alice.user_id, "displayname")
    await mallory.put(path, {"displayname": "Queen of Hearts"}, expect=(403, "M_FORBIDDEN"))
    await mallory.delete(path, expect=(403, "M_FORBIDDEN"))
    await mallory.anonymous().put(path, {"displayname": "Nobody"}, expect=(401, "M_MISSING_TOKEN"))
    assert await alice.get(path) == {"displayname": "alice"}


async def test_guests_may_change_their_name_and_nothing_else(server: Server) -> None:
    guest = await server.guest()
    await guest.put(("profile", guest.user_id, "displayname"), {"displayname": "Dodo"})
    assert await guest.get(("profile", guest.user_id)) == {"displayname": "Dodo"}
    avatar = ("profile", guest.user_id, "avatar_url")
    await guest.put(avatar, {"avatar_url": "mxc://test/dodo"}, expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
    await guest.delete(("profile", guest.user_id, "displayname"))
    assert await guest.get(("profile", guest.user_id)) == {}


async def test_strangers_have_no_profile(server: Server) -> None:
    await server.anonymous().get(("profile", "@nobody:test"), expect=(404, "M_NOT_FOUND"))
    await server.anonymous().get(("profile", "@nobody:test", "displayname"), expect=(404, "M_NOT_FOUND"))


async def test_a_server_that_cannot_be_reached_is_named_as_the_reason(server: Server) -> None:
    await server.anonymous().get(("profile", "@nobody:elsewhere"), expect=(502, "M_CONNECTION_FAILED"))


@pytest.mark.parametrize("user_id", ["alice", "@alice", "@" + "a" * 251 + ":test", "@a:te st"])
async def test_what_is_no_user_id_has_no_profile_either(server: Server, user_id: str) -> None:
    await server.anonymous().get(("profile", user_id), expect=(400, "M_INVALID_PARAM"))


@pytest.mark.parametrize(
    ("key", "body", "errcode"),
    [
        ("displayname", {"displayname": 7}, "M_BAD_JSON"),
        ("displayname", {"displayname": None}, "M_BAD_JSON"),
        ("displayname", {"displayname": "x" * 257}, "M_INVALID_PARAM"),
        ("displayname", {"displayname": "a\0b"}, "M_INVALID_PARAM"),
        ("displayname", {"avatar_url": "mxc://a/b"}, "M_MISSING_PARAM"),
        ("avatar_url", {"avatar_url": ["mxc://a/b"]}, "M_BAD_JSON"),
        ("m.tz", {"m.tz": {}}, "M_BAD_JSON"),
        ("nodots", {"nodots": 1}, "M_INVALID_PARAM"),
        ("Org.Example", {"Org.Example": 1}, "M_INVALID_PARAM"),
        ("org.example." + "x" * 244, {"org.example." + "x" * 244: 1}, "M_KEY_TOO_LARGE"),
        ("org.example.big", {"org.example.big": "x" * 65536}, "M_PROFILE_TOO_LARGE"),
    ],
)
async def test_what_a_profile_cannot_hold(server: Server, key: str, body: object, errcode: str) -> None:
    alice = await server.register("alice")
    await alice.put(("profile", alice.user_id, key), body, expect=(400, errcode))
    assert await alice.get(("profile", alice.user_id)) == {"displayname": "alice"}


async def test_fields_together_stay_below_the_limit(server: Server) -> None:
    alice = await server.register("alice")
    for number in range(2):
        key = f"org.example.n{number}"
        expect = 200 if number == 0 else "M_PROFILE_TOO_LARGE"
        await alice.put(("profile", alice.user_id, key), {key: "x" * 40_000}, expect=expect)
    await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "A"})


async def test_a_changed_name_is_told_once(server: Server) -> None:
    alice = await server.register("alice")
    told: list[str] = []

    async def hook(user_id: str, profile: object) -> None:
        told.append(user_id)

    server.application.accounts.profiles.on_changed.append(hook)
    for _ in range(2):
        await alice.put(("profile", alice.user_id, "displayname"), {"displayname": "Alice L."})
    await alice.put(("profile", alice.user_id, "m.tz"), {"m.tz": "Europe/London"})
    assert told == ["@alice:test"]
