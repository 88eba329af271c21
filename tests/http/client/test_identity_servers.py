"""Bob lets an identity server know that an address is his, and takes it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import IdentityServerSettings, OutgoingHttpSettings, Settings
from tests.cast import Client, Server
from tests.federation.authority import Authority
from tests.homeserver import server_settings
from tests.identity_server import TOKEN, IdentityServer, identity_server

BOB = "bob@example.org"
SECRET = "a-secret"


@pytest.fixture
async def ids(tmp_path: Path) -> AsyncIterator[IdentityServer]:
    async with identity_server(Authority(tmp_path).context("127.0.0.1")) as ids:
        yield ids


@pytest.fixture
def outgoing(request: pytest.FixtureRequest) -> OutgoingHttpSettings:
    return OutgoingHttpSettings(**{"verify_tls": False, "ip_denylist": (), **getattr(request, "param", {})})


@pytest.fixture
def allow() -> tuple[str, ...]:
    return ()


@pytest.fixture
def settings(tmp_path: Path, outgoing: OutgoingHttpSettings, allow: tuple[str, ...]) -> Settings:
    return server_settings(tmp_path, outgoing_http=outgoing, identity_servers=IdentityServerSettings(allow))


async def bind(bob: Client, ids: IdentityServer, address: str = BOB, *, expect: Any = 200, **changes: Any) -> Any:
    body = {
        "id_server": ids.name,
        "id_access_token": TOKEN,
        "sid": ids.validated("email", address, SECRET),
        "client_secret": SECRET,
        **changes,
    }
    return await bob.post("account/3pid/bind", body, expect=expect)


def email(address: str = BOB, **more: Any) -> dict[str, Any]:
    return {"medium": "email", "address": address, **more}


@pytest.mark.parametrize("path", ["account/3pid/unbind", "account/3pid/delete"])
async def test_bob_binds_an_address_and_takes_it_back(server: Server, ids: IdentityServer, path: str) -> None:
    bob = await server.register("bob")
    await bind(bob, ids)
    assert ids.bound("email", BOB) == bob.user_id
    # This is no address of his account: he cannot sign in with it.
    assert (await bob.get("account/3pid"))["threepids"] == []
    assert await bob.post(path, email("BOB@example.org")) == {"id_server_unbind_result": "success"}
    assert ids.bound("email", BOB) is None
    assert await bob.post(path, email()) == {"id_server_unbind_result": "no-support"}


async def test_what_was_bound_elsewhere_is_taken_back_where_bob_says(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    ids.bind("email", BOB, bob.user_id)
    assert await bob.post("account/3pid/unbind", email()) == {"id_server_unbind_result": "no-support"}
    answer = await bob.post("account/3pid/unbind", email(id_server=ids.name))
    assert answer == {"id_server_unbind_result": "success"}
    assert ids.bound("email", BOB) is None


async def test_mallory_takes_nothing_of_bobs_back(server: Server, ids: IdentityServer) -> None:
    bob, mallory = await server.register("bob"), await server.register("mallory")
    await bind(bob, ids)
    for path in ("account/3pid/unbind", "account/3pid/delete"):
        answer = await mallory.post(path, email(id_server=ids.name))
        assert answer == {"id_server_unbind_result": "no-support"}
    assert ids.bound("email", BOB) == bob.user_id


async def test_a_deactivated_account_is_unbound_everywhere(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    await bind(bob, ids)
    await bind(bob, ids, "bob@example.com")
    answer = await bob.post("account/deactivate", {"auth": bob.password_auth()})
    assert answer == {"id_server_unbind_result": "success"}
    assert (ids.bound("email", BOB), ids.bound("email", "bob@example.com")) == (None, None)
    assert await server.application.base.database.fetchval("SELECT count(*) FROM threepid_bindings") == 0


async def test_an_identity_server_that_cannot_unbind_stops_no_deactivation(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    await bind(bob, ids)
    ids.supports_unbind = False
    answer = await bob.post("account/deactivate", {"auth": bob.password_auth()})
    assert answer == {"id_server_unbind_result": "no-support"}
    await bob.get("account/whoami", expect=401)


async def test_a_deactivation_waits_once_for_each_identity_server(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    for number in range(5):
        await bind(bob, ids, f"bob{number}@example.org")
    ids.asked.clear()
    ids.answers["/3pid/unbind"] = answering(b"", 500)
    await bob.post(
        "account/deactivate", {"auth": bob.password_auth(), "id_server": "no server"}, expect="M_INVALID_PARAM"
    )
    answer = await bob.post("account/deactivate", {"auth": bob.password_auth(), "id_server": ids.name})
    assert (answer, ids.asked) == ({"id_server_unbind_result": "no-support"}, ["/3pid/unbind"])


async def test_the_end_of_mallory_does_not_wait_for_his_identity_server(server: Server, ids: IdentityServer) -> None:
    mallory, over = await server.register("mallory"), asyncio.Event()
    await bind(mallory, ids)

    async def never(request: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response(status=500)

    ids.answers["/3pid/unbind"] = never
    bindings = replace(server.application.accounts.identity_servers.bindings, max_seconds_at_the_end=0.05)
    try:
        async with asyncio.timeout(5):
            await bindings.account_ended(mallory.user_id, False)
    finally:
        over.set()
    assert await server.application.base.database.fetchval("SELECT count(*) FROM threepid_bindings") == 0


async def test_errors_of_the_identity_server_are_passed_on(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    await bind(bob, ids, client_secret="wrong", expect=(404, "M_NO_VALID_SESSION"))
    # A token that the identity server does not know signs nobody out here.
    await bind(bob, ids, id_access_token="wrong", expect=(403, "M_UNAUTHORIZED"))
    ids.answers["/3pid/bind"] = answering(b'{"errcode": "M_UNKNOWN_TOKEN"}', 401)
    await bind(bob, ids, expect=(403, "M_UNAUTHORIZED"))
    for body, status, expect in (
        (b"<html>", 500, 502),
        (b"<html>", 200, 502),
        (b"[]", 200, 502),
        (b"{}", 200, 502),
        (b'{"medium": 7, "address": "x"}', 200, 502),
        (b'{"medium": "email", "address": "a\\u0000b"}', 200, 502),
        (b"<html>", 404, (404, "M_UNKNOWN")),
        (b'{"errcode": 7, "error": []}', 400, (400, "M_UNKNOWN")),
        (b"{}", 302, 502),
        (b"x" * 100_000, 200, 502),
    ):
        ids.answers["/3pid/bind"] = answering(body, status)
        await bind(bob, ids, expect=expect)
    assert await server.application.base.database.fetchval("SELECT count(*) FROM threepid_bindings") == 0


def answering(body: bytes, status: int) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status)

    return answer


NO_BINDINGS: list[dict[str, Any]] = [
    {"id_server": ""}, {"id_server": "https://example.org"}, {"id_server": "example.org/path"},
    {"id_server": "user@example.org"}, {"id_server": "x" * 300}, {"id_server": "127.0.0.1:99999"},
    {"id_server": "127.0.0.1:1\r\nHost: evil"}, {"sid": "../x"}, {"sid": ""}, {"client_secret": "ä"},
    {"id_access_token": "a\r\nX-Evil: 1"}, {"id_access_token": ""}, {"id_access_token": "x" * 5000},
]  # fmt: skip


async def test_what_cannot_be_bound(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    for changes in NO_BINDINGS:
        await bind(bob, ids, expect=(400, "M_INVALID_PARAM"), **changes)
    assert ids.asked == []


async def test_a_server_that_is_not_there(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    await bind(bob, ids, id_server="127.0.0.1:1", expect=(502, "M_CONNECTION_FAILED"))
    await bob.post("account/3pid/unbind", email(id_server="127.0.0.1:1"), expect=(502, "M_CONNECTION_FAILED"))
    gone = await bob.post("account/3pid/delete", email(id_server="127.0.0.1:1"))
    assert gone == {"id_server_unbind_result": "no-support"}


@pytest.mark.parametrize("outgoing", [{"ip_denylist": ("127.0.0.0/8",)}], indirect=True)
async def test_clients_do_not_lead_us_inside(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    for name in (ids.name, ids.name.replace("127.0.0.1", "[::ffff:127.0.0.1]")):
        await bind(bob, ids, id_server=name, expect=(502, "M_CONNECTION_FAILED"))
    assert ids.asked == []


@pytest.mark.parametrize("outgoing", [{"verify_tls": True}], indirect=True)
async def test_an_identity_server_has_to_prove_who_it_is(server: Server, ids: IdentityServer) -> None:
    await bind(await server.register("bob"), ids, expect=(502, "M_CONNECTION_FAILED"))
    assert ids.asked == []


@pytest.mark.parametrize("allow", [("id.example.org",)])
async def test_an_administrator_chooses_identity_servers(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    await bind(bob, ids, expect=(400, "M_SERVER_NOT_TRUSTED"))
    await bob.post("account/3pid/unbind", email(id_server=ids.name), expect=(400, "M_SERVER_NOT_TRUSTED"))
    assert ids.asked == []


async def test_bindings_are_bounded(server: Server, ids: IdentityServer) -> None:
    bob = await server.register("bob")
    await server.application.base.database.execute(
        "INSERT INTO threepid_bindings SELECT $1, 'email', n || '@example.org', $2, 0 FROM generate_series(1, 100) n",
        bob.user_id,
        ids.name,
    )
    await bind(bob, ids, expect=(403, "M_FORBIDDEN"))
    async with asyncio.timeout(20):
        answer = await bob.post("account/deactivate", {"auth": bob.password_auth()})
    assert answer == {"id_server_unbind_result": "no-support"}


@pytest.mark.parametrize("allow", [("id.example.org",)])
async def test_a_room_names_no_identity_server_that_the_administrator_does_not_ask(
    server: Server, ids: IdentityServer
) -> None:
    client = server.application.accounts.identity_servers.client
    key = ids.signed("@bob:test", "token")["signatures"][ids.name]
    for url in (f"https://{ids.name}/_matrix/identity/v2/pubkey/isvalid", "https://id.example.org:1/", "https:///"):
        assert not await client.is_key_valid(url, str(key))
    assert ids.asked == []
