"""Tools that know the shared secret make accounts."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from tests.cast import PASSWORD, Server
from tests.clock import FakeClock

PATH = "/_synapse/admin/v1/register"


def signed(nonce: str, *, secret: str = "reg_secret", **changes: Any) -> dict[str, Any]:
    """As the tool builds it: HMAC-SHA1 over nonce, name, password and admin, with NULs between."""
    parts = [nonce, "bob", PASSWORD, "admin" if changes.get("admin") else "notadmin"]
    if "user_type" in changes:
        parts.append(changes["user_type"])
    mac = hmac.new(secret.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
    return {"nonce": nonce, "username": "bob", "password": PASSWORD, "mac": mac, **changes}


async def new_nonce(server: Server) -> str:
    nonce: str = (await server.anonymous().get(PATH))["nonce"]
    return nonce


@pytest.mark.parametrize("changes", [{}, {"admin": True}, {"user_type": "bot"}, {"admin": True, "user_type": "bot"}])
async def test_a_tool_makes_an_account(server: Server, changes: dict[str, Any]) -> None:
    answer = await server.anonymous().post(PATH, signed(await new_nonce(server), **changes))
    assert answer["user_id"] == "@bob:test"
    assert answer["home_server"] == "test"
    bob = await server.anonymous().login("bob", PASSWORD)
    bob.access_token = answer["access_token"]
    assert (await bob.get("account/whoami"))["device_id"] == answer["device_id"]
    row = await server.application.base.database.fetchrow("SELECT is_admin, user_type FROM users")
    assert tuple(row) == (changes.get("admin", False), changes.get("user_type"))


async def test_without_login(server: Server) -> None:
    answer = await server.anonymous().post(PATH, signed(await new_nonce(server), inhibit_login=True))
    assert answer == {"user_id": "@bob:test", "home_server": "test"}


@pytest.mark.parametrize("changes", [{"admin": True}, {"username": "mallory"}, {"password": "mallory's own"}])
async def test_nothing_that_was_signed_can_be_changed(server: Server, changes: dict[str, Any]) -> None:
    body = signed(await new_nonce(server)) | changes
    await server.anonymous().post(PATH, body, expect=(403, "M_FORBIDDEN"))


async def test_another_secret_signs_nothing(server: Server) -> None:
    nobody = server.anonymous()
    await nobody.post(PATH, signed(await new_nonce(server), secret="guess"), expect=(403, "M_FORBIDDEN"))
    for mac in ("", "ä", "0" * 40):
        body = signed(await new_nonce(server)) | {"mac": mac}
        await nobody.post(PATH, body, expect=(403, "M_FORBIDDEN"))


async def test_a_nonce_works_once_and_for_a_minute(server: Server, clock: FakeClock) -> None:
    nobody = server.anonymous()
    body = signed(await new_nonce(server))
    await nobody.post(PATH, body)
    await nobody.post(PATH, body, expect=(400, "M_UNKNOWN"))
    late = signed(await new_nonce(server))
    clock.advance(minutes=1)
    await nobody.post(PATH, late, expect=(400, "M_UNKNOWN"))
    await nobody.post(PATH, signed("guess"), expect=(400, "M_UNKNOWN"))


async def test_a_name_can_be_had_once(server: Server) -> None:
    for expect in (200, (400, "M_USER_IN_USE")):
        await server.anonymous().post(PATH, signed(await new_nonce(server)), expect=expect)
