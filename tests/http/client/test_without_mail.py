"""A server that sends no mail says so, and offers nothing that needs some."""

from __future__ import annotations

from tests.cast import Server


async def test_nobody_can_prove_an_address(server: Server) -> None:
    alice = await server.register("alice")
    body = {"client_secret": "s", "email": "alice@example.org", "send_attempt": 1}
    for what in ("account/3pid", "register", "account/password"):
        path = f"{what}/email/requestToken"
        await alice.post(path, body, expect=(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"))
    assert (await alice.get("capabilities"))["capabilities"]["m.3pid_changes"] == {"enabled": False}


async def test_a_forgotten_password_is_for_administrators(server: Server) -> None:
    await server.anonymous().post(
        "account/password", {"new_password": "a good password"}, expect=(401, "M_MISSING_TOKEN")
    )


async def test_registration_asks_for_no_address(server: Server) -> None:
    asked = await server.anonymous().post("register", {"username": "bob", "password": "a good password"}, expect=401)
    assert asked["flows"] == [{"stages": ["m.login.dummy"]}]
