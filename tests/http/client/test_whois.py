"""Where an account was seen: for Alice herself and for an administrator, not for Mallory."""

from __future__ import annotations

from tests.cast import Server


async def test_alice_and_administrators_see_where_she_was(server: Server) -> None:
    alice, root, mallory = [await server.register(name) for name in ("alice", "root", "mallory")]
    phone = await alice.login(device_id="PHONE")
    server.clock.advance(seconds=5)
    await phone.get("account/whoami")
    now_ms = server.clock.now_ms()
    path = ("admin", "whois", alice.user_id)
    answer = await alice.get(path)
    assert answer["user_id"] == alice.user_id
    assert set(answer["devices"]) == {alice.device_id, "PHONE"}
    (session,) = answer["devices"]["PHONE"]["sessions"]
    (connection,) = session["connections"]
    assert (connection["ip"], connection["last_seen"]) == ("127.0.0.1", now_ms)
    assert "aiohttp" in connection["user_agent"]

    await mallory.get(path, expect=(403, "M_FORBIDDEN"))
    await server.application.base.database.execute("UPDATE users SET is_admin = true WHERE user_id = $1", root.user_id)
    root = await root.login()
    assert (await root.get(path))["devices"]["PHONE"] == answer["devices"]["PHONE"]
    assert (await root.get(("admin", "whois", "@nobody:test")))["devices"] == {}
