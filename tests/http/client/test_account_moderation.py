"""Ada, an administrator, locks and suspends Mallory; who may, whom, and what is left to somebody so treated."""

from __future__ import annotations

import asyncio

from tests.cast import PASSWORD, Client, Server

UNSTABLE = "/_matrix/client/unstable/uk.timedout.msc4323/admin"
LOCKED = (401, "M_USER_LOCKED")
SUSPENDED = (403, "M_USER_SUSPENDED")


def path_of(verb: str, user: str) -> tuple[str, ...]:
    return ("", "_matrix", "client", "v1", "admin", verb, user)


async def lock(ada: Client, user: Client, locked: bool = True) -> None:
    assert await ada.put(path_of("lock", user.user_id), {"locked": locked}) == {"locked": locked}


async def suspend(ada: Client, user: Client, suspended: bool = True) -> None:
    assert await ada.put(path_of("suspend", user.user_id), {"suspended": suspended}) == {"suspended": suspended}


async def test_a_locked_account_can_log_out_and_nothing_else(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    phone = await mallory.login()
    await lock(ada, mallory)
    for path in ("sync", "account/whoami", "joined_rooms", ("profile", mallory.user_id)):
        if isinstance(path, str):
            assert (await mallory.get(path, expect=LOCKED))["soft_logout"] is True
    await mallory.put(("rooms", "!r:test", "send", "m.room.message", "t"), {}, expect=LOCKED)
    await mallory.post("keys/query", {"device_keys": {}}, expect=LOCKED)
    await mallory.post("account/deactivate", {}, expect=LOCKED)
    await phone.post("logout")
    await phone.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await mallory.post("logout/all")
    await mallory.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_what_was_locked_is_as_before_when_it_is_unlocked(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory", refresh_token=True)
    await lock(ada, mallory)
    anonymous = server.anonymous()
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "mallory"}}
    await anonymous.post("login", {**login, "password": PASSWORD}, expect=LOCKED)
    await anonymous.post("login", {**login, "password": "a guess"}, expect=(403, "M_FORBIDDEN"))
    await anonymous.post("refresh", {"refresh_token": mallory.refresh_token}, expect=LOCKED)
    assert await ada.get(path_of("lock", mallory.user_id)) == {"locked": True}
    await lock(ada, mallory, False)
    assert await ada.get(path_of("lock", mallory.user_id)) == {"locked": False}
    assert (await mallory.get("account/whoami"))["user_id"] == mallory.user_id
    await mallory.login()


async def test_a_lock_ends_waiting_syncs_at_once(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    await mallory.sync()
    first = {"conn_id": "main", "lists": {}}
    sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    pos = (await mallory.post(sliding, first))["pos"]
    waiting = server.application.base.announcer.waiting
    polls = [
        asyncio.create_task(mallory.sync(timeout=30_000)),
        asyncio.create_task(mallory.post(sliding, first, pos=pos, timeout=30_000)),
    ]
    while server.application.base.announcer.waiting < waiting + 2:
        await asyncio.sleep(0.001)
    await lock(ada, mallory)
    await asyncio.wait_for(asyncio.gather(*polls), 5)
    await mallory.get("sync", expect=LOCKED)


async def test_locks_and_suspensions_outlive_a_restart(server: Server, ada: Client) -> None:
    mallory, trudy = await server.register("mallory"), await server.register("trudy")
    await lock(ada, mallory)
    await suspend(ada, trudy)
    standings = server.application.accounts.standings
    standings._locked.clear()
    standings._suspended.clear()
    await standings.load()
    await mallory.get("account/whoami", expect=LOCKED)
    await trudy.post("createRoom", {}, expect=SUSPENDED)


async def test_neither_costs_a_statement_per_request(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    await suspend(ada, mallory)
    await mallory.get("account/whoami")
    before = server.application.base.database.statements
    await mallory.get("account/whoami")
    await mallory.post("createRoom", {}, expect=SUSPENDED)
    assert server.application.base.database.statements == before


async def test_the_suspended_read_and_leave(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    own = await mallory.send(room_id, "spam")
    answer = {"m.relates_to": {"event_id": own, "rel_type": "m.thread"}, "msgtype": "m.text", "body": "an answer"}
    answered = await alice.send(room_id, answer)
    other = await alice.send(room_id, "hello")
    levels = await alice.state(room_id, "m.room.power_levels")
    levels["users"] = {**levels["users"], mallory.user_id: 50}
    await alice.set_state(room_id, "m.room.power_levels", levels)
    invited = await alice.create_room(invite=[mallory.user_id])
    await suspend(ada, mallory)

    assert other in (await mallory.sync()).event_ids(room_id)
    await mallory.messages(room_id, dir="b")
    await mallory.post(("rooms", room_id, "receipt", "m.read", other))
    assert answered in (await alice.sync(since=None)).event_ids(room_id)
    await mallory.put(("rooms", room_id, "redact", own, "t0"), {"with_rel_types": ["*"]})
    assert (await alice.get(("rooms", room_id, "event", answered)))["content"] == answer
    await mallory.put(("rooms", room_id, "redact", other, "t1"), {}, expect=SUSPENDED)
    await mallory.put(("rooms", room_id, "send", "m.room.redaction", "t2"), {"redacts": other}, expect=SUSPENDED)
    await mallory.login()
    await mallory.leave(invited)
    await mallory.leave(room_id)


async def test_the_suspended_write_to_nobody(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    public = await alice.create_room(preset="public_chat")
    room_id = await mallory.create_room(preset="public_chat")
    await alice.join(room_id)
    invited = await alice.create_room(invite=[mallory.user_id])
    await suspend(ada, mallory)

    room, user = ("rooms", room_id), {"user_id": alice.user_id}
    await mallory.put((*room, "send", "m.room.message", "t"), {"body": "spam"}, expect=SUSPENDED)
    await mallory.request(
        "PUT", (*room, "send", "m.room.message", "t2"), json={"body": "later"}, expect=SUSPENDED,
        query={"org.matrix.msc4140.delay": 1000},
    )  # fmt: skip
    await mallory.put((*room, "state", "m.room.topic"), {"topic": "spam"}, expect=SUSPENDED)
    for verb in ("invite", "kick", "ban", "unban"):
        await mallory.post((*room, verb), user, expect=SUSPENDED)
    member = (*room, "state", "m.room.member")
    await mallory.put((*member, alice.user_id), {"membership": "ban"}, expect=SUSPENDED)
    await mallory.put((*member, mallory.user_id), {"membership": "join", "displayname": "spam"}, expect=SUSPENDED)
    await mallory.post(("join", public), expect=SUSPENDED)
    await mallory.post(("rooms", invited, "join"), expect=SUSPENDED)
    await mallory.post(("knock", public), {}, expect=SUSPENDED)
    await mallory.post("createRoom", {}, expect=SUSPENDED)
    await mallory.post((*room, "upgrade"), {"new_version": "12"}, expect=SUSPENDED)
    redact_user = f"/_matrix/client/unstable/org.matrix.msc4194/rooms/{room_id}/redact/user/{alice.user_id}"
    await mallory.post(redact_user, {}, expect=SUSPENDED)
    await mallory.post("account/3pid/delete", {"medium": "email", "address": "m@example.org"}, expect=SUSPENDED)
    await mallory.put(("profile", mallory.user_id, "displayname"), {"displayname": "spam"}, expect=SUSPENDED)
    await mallory.put(("directory", "room", "#spam:test"), {"room_id": room_id}, expect=SUSPENDED)
    await mallory.post("/_matrix/media/v3/upload", {}, expect=SUSPENDED)
    await mallory.post(("user", mallory.user_id, "openid", "request_token"), expect=SUSPENDED)
    await mallory.put((*member, mallory.user_id), {"membership": "leave"})

    await suspend(ada, mallory, False)
    await mallory.join(public)
    await mallory.send(public, "sorry")


async def test_what_was_scheduled_before_is_not_sent_but_for_the_leave_of_a_call(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    unstable = "/_matrix/client/unstable/org.matrix.msc4140/rooms"
    call, state_key = "org.matrix.msc3401.call.member", f"_{mallory.user_id}_X"
    await mallory.set_state(room_id, call, {"application": "m.call"}, state_key)
    spam = {"delay": 60_000, "content": {"msgtype": "m.text", "body": "spam"}}
    await mallory.put(f"{unstable}/{room_id}/delayed_event/m.room.message/t1", spam)
    leave = {"delay": 60_000, "state_key": state_key, "content": {}}
    await mallory.put(f"{unstable}/{room_id}/delayed_event/{call}/t2", leave)
    await suspend(ada, mallory)
    await alice.sync()
    server.clock.advance(minutes=2)
    answer = await alice.sync_until(lambda sync: sync.timeline(room_id))
    assert [(event["type"], event["content"]) for event in answer.timeline(room_id)] == [(call, {})]


async def test_who_may_and_whom(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await server.application.accounts.new_accounts.create_account("root", PASSWORD, admin=True)
    for verb, key in (("lock", "locked"), ("suspend", "suspended")):
        for user in (alice.user_id, "@nobody:test", "@bob:elsewhere", "junk"):
            # Before anything is looked up: Mallory learns nothing.
            await mallory.put(path_of(verb, user), {key: True}, expect=(403, "M_FORBIDDEN"))
            await mallory.get(path_of(verb, user), expect=(403, "M_FORBIDDEN"))
        for user in (ada.user_id, "@root:test"):
            await ada.put(path_of(verb, user), {key: True}, expect=(403, "M_FORBIDDEN"))
        await ada.get(path_of(verb, "@root:test"), expect=(403, "M_FORBIDDEN"))
        for user in ("@bob:elsewhere", "junk", "@nul\u0001:elsewhere"):
            await ada.put(path_of(verb, user), {key: True}, expect=(400, "M_INVALID_PARAM"))
        await ada.put(path_of(verb, "@nobody:test"), {key: True}, expect=(404, "M_NOT_FOUND"))
        await ada.put(path_of(verb, alice.user_id), {}, expect=(400, "M_MISSING_PARAM"))
        await ada.put(path_of(verb, alice.user_id), {key: "yes"}, expect=(400, "M_BAD_JSON"))
        unstable = f"{UNSTABLE}/{verb}/{alice.user_id}"
        assert await ada.put(unstable, {key: True}) == {key: True}
        assert await ada.get(unstable) == {key: True}
    for capability in ("m.account_moderation", "uk.timedout.msc4323"):
        assert (await ada.get("capabilities"))["capabilities"][capability] == {"lock": True, "suspend": True}
        assert capability not in (await mallory.get("capabilities"))["capabilities"]
    flags = (await mallory.get("/_matrix/client/versions"))["unstable_features"]
    assert flags["uk.timedout.msc4323"] is True


async def test_it_is_in_the_audit_log(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    await lock(ada, mallory)
    await suspend(ada, mallory)
    await lock(ada, mallory, False)
    entries = (await ada.get("/_voicechat/admin/v1/audit"))["entries"]
    assert [(entry["action"], entry["target"]) for entry in entries[:3]] == [
        ("user.unlock", mallory.user_id),
        ("user.suspend", mallory.user_id),
        ("user.lock", mallory.user_id),
    ]


async def test_whoever_became_an_administrator_since_can_be_let_in_again(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    await lock(ada, mallory)
    await suspend(ada, mallory)
    await server.application.base.database.execute(
        "UPDATE users SET is_admin = true WHERE user_id = $1", mallory.user_id
    )  # fmt: skip
    await lock(ada, mallory, False)
    await suspend(ada, mallory, False)
    await mallory.post("createRoom", {})
    await ada.put(path_of("lock", mallory.user_id), {"locked": False}, expect=(403, "M_FORBIDDEN"))


async def test_a_locked_guest_becomes_no_account(server: Server, ada: Client) -> None:
    guest = await server.guest()
    await lock(ada, guest)
    body = {"username": guest.user_id[1:].partition(":")[0], "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    body["guest_access_token"] = guest.access_token or ""
    await server.anonymous().post("register", body, expect=LOCKED)
    await lock(ada, guest, False)
    await server.anonymous().post("register", body)
