"""Where Alice wants to be notified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from tests.cast import Client, Server
from tests.homeserver import server_settings

URL = "https://push.example.org/_matrix/push/v1/notify"
ENABLED = "org.matrix.msc3881.enabled"
DEVICE_ID = "org.matrix.msc3881.device_id"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path)


def _pusher(pushkey: str = "key", **changes: Any) -> dict[str, Any]:
    return {
        "kind": "http",
        "app_id": "org.example.app",
        "pushkey": pushkey,
        "app_display_name": "Example",
        "device_display_name": "Phone",
        "lang": "en",
        "data": {"url": URL, "format": "event_id_only", "theirs": {"a": 1}},
        **changes,
    }


async def _pushers(client: Client) -> list[dict[str, Any]]:
    pushers: list[dict[str, Any]] = (await client.get("pushers"))["pushers"]
    return pushers


async def _keys(client: Client) -> list[str]:
    return [each["pushkey"] for each in await _pushers(client)]


async def test_a_pusher_is_shown_as_it_was_set(server: Server) -> None:
    alice = await server.register("alice")
    assert await _pushers(alice) == []
    await alice.post("pushers/set", _pusher(profile_tag="tag"))
    expected = {**_pusher(profile_tag="tag"), ENABLED: True, DEVICE_ID: alice.device_id}
    assert await _pushers(alice) == [expected]


async def test_the_same_key_is_set_anew_and_another_one_added(server: Server) -> None:
    alice = await server.register("alice")
    await alice.post("pushers/set", _pusher())
    await alice.post("pushers/set", _pusher(lang="de"))
    await alice.post("pushers/set", _pusher("other"))
    assert [(each["pushkey"], each["lang"]) for each in await _pushers(alice)] == [("key", "de"), ("other", "en")]


async def test_null_deletes_and_is_no_error_where_nothing_is(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await alice.post("pushers/set", _pusher())
    gone = {"kind": None, "app_id": "org.example.app", "pushkey": "key"}
    await bob.post("pushers/set", gone)
    assert await _keys(alice) == ["key"]
    await alice.post("pushers/set", gone)
    await alice.post("pushers/set", gone)
    assert await _keys(alice) == []


async def test_a_key_belongs_to_one_user_unless_he_appends(server: Server) -> None:
    alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
    await alice.post("pushers/set", _pusher())
    await bob.post("pushers/set", _pusher(append=True))
    assert (await _keys(alice), await _keys(bob)) == (["key"], ["key"])
    await carol.post("pushers/set", _pusher())
    assert (await _keys(alice), await _keys(bob), await _keys(carol)) == ([], [], ["key"])


async def test_a_pusher_goes_with_its_device(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    await phone.post("pushers/set", _pusher("phone"))
    await alice.post("pushers/set", _pusher("laptop"))
    await phone.post("logout")
    assert await _keys(alice) == ["laptop"]


async def test_a_new_password_ends_the_pushers_of_other_devices(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    await phone.post("pushers/set", _pusher("phone"))
    await alice.post("pushers/set", _pusher("laptop"))
    kept = {"new_password": "a new secret of mine", "logout_devices": False, "auth": alice.password_auth()}
    await alice.post("account/password", kept)
    assert await _keys(alice) == ["phone", "laptop"]
    auth = {**alice.password_auth(), "password": "a new secret of mine"}
    await alice.post("account/password", {"new_password": "and another one", "logout_devices": True, "auth": auth})
    assert await _keys(alice) == ["laptop"]


async def test_another_device_switches_a_pusher_off(server: Server) -> None:
    alice = await server.register("alice")
    await alice.post("pushers/set", _pusher(**{ENABLED: False}))
    (pusher,) = await _pushers(alice)
    assert (pusher[ENABLED], pusher[DEVICE_ID]) == (False, alice.device_id)
    assert (await alice.get("/_matrix/client/versions"))["unstable_features"]["org.matrix.msc3881"] is True


async def test_beyond_fifty_the_oldest_pusher_goes(server: Server) -> None:
    alice = await server.register("alice")
    for number in range(52):
        server.clock.advance(seconds=1)
        await alice.post("pushers/set", _pusher(f"key{number}"))
    keys = await _keys(alice)
    assert (len(keys), keys[0], keys[-1]) == (50, "key2", "key51")


NO_PUSHERS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "carrier-pigeon"}, "M_INVALID_PARAM"),
    ({"kind": 7}, "M_BAD_JSON"),
    ({"app_id": ""}, "M_INVALID_PARAM"),
    ({"app_id": "a" * 65}, "M_INVALID_PARAM"),
    ({"pushkey": ""}, "M_INVALID_PARAM"),
    ({"pushkey": "ä" * 257}, "M_INVALID_PARAM"),
    ({"pushkey": "a\0b"}, "M_BAD_JSON"),
    ({"lang": None}, "M_MISSING_PARAM"),
    ({"app_display_name": "a" * 256}, "M_INVALID_PARAM"),
    ({"data": None}, "M_MISSING_PARAM"),
    ({"data": []}, "M_BAD_JSON"),
    ({"data": {}}, "M_MISSING_PARAM"),
    ({"data": {"url": 7}}, "M_INVALID_PARAM"),
    ({"data": {"url": URL, "more": "x" * 9000}}, "M_INVALID_PARAM"),
    ({"data": {"url": URL, "format": 7}}, "M_INVALID_PARAM"),
    ({"data": {"url": URL.replace("https", "http")}}, "M_INVALID_PARAM"),
    ({"data": {"url": "https://push.example.org/elsewhere"}}, "M_INVALID_PARAM"),
    ({"data": {"url": URL + "/"}}, "M_INVALID_PARAM"),
    ({"data": {"url": "https://user:word@push.example.org/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
    ({"data": {"url": "https:///_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
    ({"data": {"url": "https://push.example.org:99999/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
    ({"data": {"url": "https://[::1/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
    ({"kind": "email", "app_id": "m.email", "pushkey": "alice@example.org"}, "M_INVALID_PARAM"),
]


async def test_what_cannot_be_a_pusher_is_refused(server: Server) -> None:
    alice = await server.register("alice")
    for changes, errcode in NO_PUSHERS:
        await alice.post("pushers/set", _pusher(**changes), expect=errcode)
    assert await _pushers(alice) == []


async def test_strangers_and_guests_have_no_pushers(server: Server) -> None:
    await server.anonymous().get("pushers", expect=401)
    await server.anonymous().post("pushers/set", _pusher(), expect=401)
    guest = await server.guest()
    await guest.post("pushers/set", _pusher(), expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
