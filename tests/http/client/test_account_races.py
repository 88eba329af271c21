"""Two requests at the same moment: what may happen once happens once."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest

from config.settings import RegistrationSettings
from tests.cast import PASSWORD, Server
from tests.homeserver import running_homeserver, server_settings

DUMMY = {"type": "m.login.dummy"}
RACERS = 5


async def statuses(server: Server, path: str, bodies: list[dict[str, Any]]) -> list[int]:
    """Send all of them at once; the statuses of the answers, sorted."""

    async def post(body: dict[str, Any]) -> int:
        expect = {200, 400, 401, 403}
        answer = await server.anonymous().post(path, body, expect=expect)
        return 200 if "errcode" not in answer and "flows" not in answer else 400

    return sorted(await asyncio.gather(*(post(body) for body in bodies)))


async def count_users(server: Server) -> int:
    count: int = await server.application.base.database.fetchval("SELECT count(*) FROM users")
    return count


async def test_one_of_many_gets_the_name(server: Server) -> None:
    body = {"username": "alice", "password": PASSWORD, "auth": DUMMY}
    assert await statuses(server, "register", [body] * RACERS) == [200] + [400] * (RACERS - 1)


@pytest.mark.parametrize("wish", [{"password": PASSWORD}, {"password": PASSWORD, "username": "alice"}])
async def test_one_session_makes_one_account(server: Server, wish: dict[str, Any]) -> None:
    session = (await server.anonymous().post("register", wish, expect=401))["session"]
    await statuses(server, "register", [{"auth": {**DUMMY, "session": session}}] * RACERS)
    assert await count_users(server) == 1


async def test_a_registration_token_for_two_makes_two_accounts(database_dsn: str, clock: Any, tmp_path: Any) -> None:
    settings = server_settings(tmp_path, registration=RegistrationSettings(enabled=True))
    async with running_homeserver(settings, database_dsn, clock) as server:
        await server.application.base.database.execute("INSERT INTO registration_tokens VALUES ('two', 2, 0, NULL, 0)")
        auth = {"type": "m.login.registration_token", "token": "two"}
        bodies = [{"username": f"user{n}", "password": PASSWORD, "auth": auth} for n in range(RACERS)]
        assert await statuses(server, "register", bodies) == [200, 200] + [400] * (RACERS - 2)
        assert await count_users(server) == 2


async def test_a_login_token_signs_in_once(server: Server) -> None:
    alice = await server.register("alice")
    auth = alice.password_auth()
    token = (await alice.post("/_matrix/client/v1/login/get_token", {"auth": auth}))["login_token"]
    body = {"type": "m.login.token", "token": token}
    assert await statuses(server, "login", [body] * RACERS) == [200] + [400] * (RACERS - 1)


async def test_one_device_has_one_session(server: Server) -> None:
    alice = await server.register("alice")
    clients = await asyncio.gather(*(alice.login(device_id="PHONE") for _ in range(RACERS)))
    answers = [await client.get("account/whoami", expect={200, 401}) for client in clients]
    assert sum("user_id" in answer for answer in answers) == 1


async def test_a_refresh_token_used_twice_at_once_leaves_one_heir(server: Server) -> None:
    alice = await server.register("alice", refresh_token=True)
    body = {"refresh_token": alice.refresh_token}
    answers = await asyncio.gather(*(alice.anonymous().post("refresh", body) for _ in range(RACERS)))
    alive = 0
    for answer in answers:
        client = alice.anonymous()
        client.access_token = answer["access_token"]
        alive += "user_id" in await client.get("account/whoami", expect={200, 401})
    assert alive == 1


async def test_an_authentication_session_is_used_once(server: Server) -> None:
    alice = await server.register("alice")
    body = {"new_password": "through the looking glass", "logout_devices": False}
    session = (await alice.post("account/password", body, expect=401))["session"]
    body["auth"] = alice.password_auth(session=session)
    answers = await asyncio.gather(
        *(alice.post("account/password", body, expect={200, 401, 403}) for _ in range(RACERS))
    )
    assert sum(answer == {} for answer in answers) == 1


async def test_the_setup_link_makes_one_administrator(server: Server) -> None:
    link = await server.application.accounts.setup_links.create()
    token = link.partition("token=")[2]
    forms = [{"token": token, "username": f"root{n}", "password": PASSWORD, "again": PASSWORD} for n in range(RACERS)]
    answers = await asyncio.gather(
        *(server.anonymous().raw("POST", "/setup", data=urlencode(form).encode(), check=False) for form in forms)
    )
    assert sorted(answer.status for answer in answers) == [200] + [403] * (RACERS - 1)
    assert await count_users(server) == 1
