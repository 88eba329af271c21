"""Ada, an administrator, looks at what users have: devices, rooms, files, account data."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

AUDIT = "/_voicechat/admin/v1/audit"


def v1(*parts: str) -> tuple[str, ...]:
    return ("", "_synapse", "admin", "v1", *parts)


def v2(*parts: str) -> tuple[str, ...]:
    return ("", "_synapse", "admin", "v2", *parts)


async def upload(user: Client, data: bytes, name: str) -> str:
    answer = await user.raw(
        "POST", "/_matrix/media/v3/upload", data=data, query={"filename": name}, headers={"Content-Type": "text/plain"}
    )
    return str(answer.json()["content_uri"]).rpartition("/")[2]


async def test_devices_are_listed_named_and_deleted(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    phone = await alice.login(device_id="PHONE", initial_device_display_name="Alice's phone")
    devices = v2("users", alice.user_id, "devices")
    listed = await ada.get(devices)
    assert listed["total"] == 2
    shown = await ada.get((*devices, "PHONE"))
    assert shown in listed["devices"]
    assert shown == {
        "device_id": "PHONE", "display_name": "Alice's phone", "last_seen_ip": "127.0.0.1",
        "last_seen_ts": server.clock.now_ms(), "last_seen_user_agent": shown["last_seen_user_agent"],
        "user_id": "@alice:test", "dehydrated": False,
    }  # fmt: skip
    await ada.put((*devices, "PHONE"), {"display_name": "Found in the pool"})
    assert (await phone.get("devices/PHONE"))["display_name"] == "Found in the pool"
    await ada.delete((*devices, "PHONE"))
    await phone.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await alice.get("account/whoami")
    await ada.request("POST", devices, json={"device_id": "BOT"}, expect=201)
    await ada.request("POST", devices, json={"device_id": "BOT"}, expect=201)
    assert (await ada.get(devices))["total"] == 2
    body = {"devices": [alice.device_id, "BOT", "NONE"]}
    await ada.post(v2("users", alice.user_id, "delete_devices"), body)
    assert await ada.get(devices) == {"devices": [], "total": 0}
    actions = [each["action"] for each in (await ada.get(AUDIT, target=alice.user_id))["entries"]]
    assert actions == ["device.delete", "device.create", "device.delete", "device.rename", "login.password"]


async def test_rooms_of_a_user(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    lobby, hall = await alice.create_room(preset="public_chat"), await alice.create_room(preset="public_chat")
    den = await alice.create_room()
    await alice.invite(den, bob)
    await bob.join(lobby)
    server.clock.advance(hours=1)
    now_ms = server.clock.now_ms()
    await bob.join(hall)
    await bob.leave(hall)
    assert await ada.get(v1("users", bob.user_id, "joined_rooms")) == {"joined_rooms": [lobby], "total": 1}
    memberships = (await ada.get(v1("users", bob.user_id, "memberships")))["memberships"]
    assert memberships == {lobby: "join", hall: "leave", den: "invite"}
    count = v1("users", bob.user_id, "cumulative_joined_room_count")
    assert await ada.get(count, from_ts=0) == {"cumulative_joined_room_count": 2}
    assert await ada.get(count, from_ts=now_ms) == {"cumulative_joined_room_count": 1}
    await ada.get(count, expect=(400, "M_MISSING_PARAM"))
    invited = v1("users", alice.user_id, "sent_invite_count")
    assert await ada.get(invited, from_ts=0) == {"invite_count": 1}
    assert await ada.get(invited, from_ts=now_ms) == {"invite_count": 0}
    await alice.kick(den, bob)
    assert await ada.get(invited, from_ts=0) == {"invite_count": 1}
    await ada.get(invited, expect=(400, "M_MISSING_PARAM"))
    # A name from elsewhere that PostgreSQL would not read.
    await server.application.base.database.execute(
        "UPDATE events SET body = $1 WHERE state_key = $2 AND sender = $2 AND origin_server_ts = $3",
        b'{"content":{"displayname":"\\u0000","membership":"join"}}',
        bob.user_id,
        now_ms,
    )
    assert await ada.get(count, from_ts=0) == {"cumulative_joined_room_count": 2}
    await ada.get(v1("users", "bob", "memberships"), expect=(400, "M_INVALID_PARAM"))


async def test_what_clients_keep_here(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.put(("user", alice.user_id, "account_data", "org.example.tea"), {"sugar": 2})
    await alice.put(("user", alice.user_id, "rooms", room_id, "account_data", "org.example.tea"), {"sugar": 1})
    data = (await ada.get(v1("users", alice.user_id, "accountdata")))["account_data"]
    assert data["global"]["org.example.tea"] == {"sugar": 2}
    assert data["rooms"] == {room_id: {"org.example.tea": {"sugar": 1}}}
    assert (await ada.get(AUDIT))["entries"][0]["action"] == "user.read_account_data"


async def test_files_of_a_user_are_listed_and_deleted(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    first = await upload(alice, b"tea", "b.txt")
    server.clock.advance(seconds=5)
    second = await upload(alice, b"coffee", "a.txt")
    await upload(bob, b"milk", "c.txt")
    path = v1("users", alice.user_id, "media")
    answer = await ada.get(path)
    assert answer["total"] == 2
    assert [each["media_id"] for each in answer["media"]] == [second, first]
    assert answer["media"][1] == {
        "user_id": alice.user_id, "media_id": first, "media_type": "text/plain", "media_length": 3, "upload_name": "b.txt",
        "created_ts": server.clock.now_ms() - 5000, "last_access_ts": None, "quarantined_by": None,
        "safe_from_quarantine": False,
    }  # fmt: skip
    for order in ("media_id", "upload_name", "created_ts", "last_access_ts", "media_length", "media_type",
                  "quarantined_by", "safe_from_quarantine"):  # fmt: skip
        assert len((await ada.get(path, order_by=order, dir="b"))["media"]) == 2
    assert [each["media_id"] for each in (await ada.get(path, order_by="media_length"))["media"]] == [first, second]
    page = await ada.get(path, limit=1)
    assert page["next_token"] == 1
    assert (await ada.get(path, limit=1, **{"from": 1})).get("next_token") is None
    assert await ada.delete(path, limit=1) == {"deleted_media": [second], "total": 1}
    await alice.raw("GET", f"/_matrix/client/v1/media/download/test/{second}")
    gone = await alice.raw("GET", f"/_matrix/client/v1/media/download/test/{second}")
    assert gone.status == 404
    assert (await ada.get(path))["total"] == 1
    assert (await ada.get(AUDIT))["entries"][0]["details"] == {"count": 1}


async def test_who_has_uploaded_how_much(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await upload(alice, b"tea", "a")
    await upload(alice, b"coffee", "b")
    server.clock.advance(seconds=5)
    await upload(bob, b"a whole litre of milk", "c")
    path = "/_synapse/admin/v1/statistics/users/media"
    hers = {"user_id": "@alice:test", "displayname": "alice", "media_count": 2, "media_length": 9}
    his = {"user_id": "@bob:test", "displayname": "bob", "media_count": 1, "media_length": 21}
    assert await ada.get(path) == {"users": [hers, his], "total": 2}
    assert (await ada.get(path, order_by="media_length", dir="b"))["users"] == [his, hers]
    assert await ada.get(path, order_by="media_count", limit=1) == {"users": [his], "total": 2, "next_token": 1}
    assert await ada.get(path, from_ts=server.clock.now_ms()) == {"users": [his], "total": 1}
    assert await ada.get(path, until_ts=server.clock.now_ms() - 1) == {"users": [hers], "total": 1}
    assert await ada.get(path, search_term="LIC") == {"users": [hers], "total": 1}
    assert await ada.get(path, **{"from": 2}) == {"users": [], "total": 2}
    await ada.get(path, order_by="age", expect=(400, "M_INVALID_PARAM"))


async def test_where_somebody_was_seen(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    seen = await ada.get(v1("whois", alice.user_id))
    assert set(seen["devices"]) == {alice.device_id}
    assert (await ada.get(AUDIT, target=alice.user_id))["entries"][0]["action"] == "user.whois"


async def test_where_somebody_wants_to_be_notified(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    assert await ada.get(v1("users", alice.user_id, "pushers")) == {"pushers": [], "total": 0}
    pusher = {
        "app_display_name": "Mat Rix", "app_id": "org.example.app", "device_display_name": "iPhone 9", "kind": "http",
        "lang": "en", "pushkey": "abcdef", "data": {"url": "https://push.example.org/_matrix/push/v1/notify"},
    }  # fmt: skip
    await alice.post("pushers/set", pusher)
    listed = await ada.get(v1("users", alice.user_id, "pushers"))
    shown = {**pusher, "profile_tag": "", "enabled": True, "device_id": alice.device_id}
    assert listed == {"pushers": [shown], "total": 1}


BELONGINGS: list[tuple[str, tuple[str, ...], Any]] = [
    ("GET", v2("users", "@{}:test", "devices"), None),
    ("POST", v2("users", "@{}:test", "devices"), {"device_id": "X"}),
    ("GET", v2("users", "@{}:test", "devices", "X"), None),
    ("PUT", v2("users", "@{}:test", "devices", "X"), {"display_name": "x"}),
    ("DELETE", v2("users", "@{}:test", "devices", "X"), None),
    ("POST", v2("users", "@{}:test", "delete_devices"), {"devices": ["X"]}),
    ("GET", v1("users", "@{}:test", "media"), None),
    ("DELETE", v1("users", "@{}:test", "media"), None),
    ("GET", v1("users", "@{}:test", "accountdata"), None),
    ("GET", v1("users", "@{}:test", "pushers"), None),
]


async def test_nobody_has_nothing(ada: Client) -> None:
    for method, path, body in BELONGINGS:
        of = tuple(part.format("nobody") for part in path)
        await ada.request(method, of, json=body, expect=(404, "M_NOT_FOUND"))
        elsewhere = tuple(part.format("bob:elsewhere") for part in path)
        await ada.request(method, elsewhere, json=body, expect=(400, "M_INVALID_PARAM"))


async def test_not_even_ones_own(server: Server) -> None:
    mallory = await server.register("mallory")
    for method, path, body in BELONGINGS:
        of = tuple(part.format("mallory") for part in path)
        await mallory.request(method, of, json=body, expect=(403, "M_FORBIDDEN"))


async def test_nonsense_is_refused(server: Server, ada: Client) -> None:
    await server.register("alice")
    for body in ({"device_id": ""}, {"device_id": "x" * 256}, {}):
        await ada.post(v2("users", "@alice:test", "devices"), body, expect=400)
    for wrong in ([f"D{number}" for number in range(1001)], "X"):
        await ada.post(v2("users", "@alice:test", "delete_devices"), {"devices": wrong}, expect=400)
