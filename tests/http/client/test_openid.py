"""Alice proves to a service outside of the server who she is."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server
from tests.clock import FakeClock

MINUTE_MS = 60_000
USER_INFO = "/_matrix/federation/v1/openid/userinfo"


async def ask_for_token(client: Client, **expected: Any) -> Any:
    return await client.post(("user", client.user_id, "openid", "request_token"), **expected)


async def test_a_service_learns_who_its_visitor_is(server: Server) -> None:
    alice = await server.register("alice")
    issued = await ask_for_token(alice)
    token = issued.pop("access_token")
    assert issued == {"token_type": "Bearer", "matrix_server_name": "test", "expires_in": 3600}
    for _ in range(2):
        assert await server.anonymous().get(USER_INFO, access_token=token) == {"sub": "@alice:test"}


async def test_the_token_opens_nothing_else_and_no_other_token_opens_this(server: Server) -> None:
    alice = await server.register("alice")
    token = (await ask_for_token(alice))["access_token"]
    impostor = alice.anonymous()
    impostor.access_token = token
    await impostor.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    for wrong in (alice.access_token, "an/invalid/token", "x" * 300, ""):
        await server.anonymous().get(USER_INFO, access_token=wrong, expect=(401, "M_UNKNOWN_TOKEN"))
    await server.anonymous().get(USER_INFO, expect=(401, "M_MISSING_TOKEN"))


async def test_mallory_gets_no_token_of_alice(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await mallory.post(("user", alice.user_id, "openid", "request_token"), expect=(403, "M_FORBIDDEN"))
    await server.anonymous().post(("user", alice.user_id, "openid", "request_token"), expect=(401, "M_MISSING_TOKEN"))


async def test_the_token_ends_after_an_hour(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    token = (await ask_for_token(alice))["access_token"]
    clock.advance(ms=60 * MINUTE_MS - 1)
    await server.anonymous().get(USER_INFO, access_token=token)
    clock.advance(ms=1)
    await server.anonymous().get(USER_INFO, access_token=token, expect=(401, "M_UNKNOWN_TOKEN"))


async def test_the_token_ends_with_its_device(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    token = (await ask_for_token(phone))["access_token"]
    kept = (await ask_for_token(alice))["access_token"]
    await phone.post("logout")
    await server.anonymous().get(USER_INFO, access_token=token, expect=(401, "M_UNKNOWN_TOKEN"))
    assert await server.anonymous().get(USER_INFO, access_token=kept) == {"sub": "@alice:test"}
    await alice.post("account/deactivate", {"auth": alice.password_auth()})
    await server.anonymous().get(USER_INFO, access_token=kept, expect=(401, "M_UNKNOWN_TOKEN"))
