"""Mallory has Alice's token, and Alice throws him out: he must not stay behind as one who is told what she is told."""

from __future__ import annotations

import asyncio

import pytest

from homeserver.protocol.errors import MatrixError, UnknownToken
from homeserver.services.push.checks import PusherBody
from tests.cast import Server

URL = "https://evil.example/_matrix/push/v1/notify"
BODY = PusherBody("x", "x", None, "en", {"url": URL})


async def test_a_device_that_is_logged_out_sets_nothing(server: Server) -> None:
    alice = await server.register("alice")
    application = server.application
    requester = await application.accounts.authenticator.authenticate(alice.access_token or "")
    # His request was under way when the device went.
    await alice.post("logout")
    with pytest.raises(UnknownToken):
        await application.push.pushers.set(requester, "http", "app", "key", BODY)
    assert await application.base.database.fetchval("SELECT count(*) FROM pushers") == 0


async def test_no_pusher_outlives_its_device_however_close_it_was(server: Server) -> None:
    alice = await server.register("alice")
    application = server.application
    requester = await application.accounts.authenticator.authenticate(alice.access_token or "")

    async def keep_setting() -> None:
        for number in range(40):
            try:
                await application.push.pushers.set(requester, "http", "app", f"key{number}", BODY)
            except MatrixError:
                return

    await asyncio.gather(*[keep_setting() for _ in range(4)], alice.post("logout"))
    assert await application.base.database.fetchval("SELECT count(*) FROM pushers") == 0
    assert application.push.pushers.of_user(alice.user_id) == []
