"""Registration where not everybody may: closed, with tokens, with a captcha, without guests; and too many guesses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import RateLimitSettings, RecaptchaSettings, RegistrationSettings, ServerNoticesSettings
from tests.cast import PASSWORD, Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings

DUMMY = {"type": "m.login.dummy"}
WISH = {"username": "alice", "password": PASSWORD}
TOKEN_VALIDITY = "/_matrix/client/v1/register/m.login.registration_token/validity"


@pytest.fixture
def run(database_dsn: str, clock: FakeClock, tmp_path: Path) -> Any:
    """Start a server with other settings of registration."""

    def start(registration: RegistrationSettings, **settings: Any) -> Any:
        changed = server_settings(tmp_path, registration=registration, **settings)
        return running_homeserver(changed, database_dsn, clock)

    return start


async def test_a_closed_server_lets_nobody_in(run: Any) -> None:
    async with run(RegistrationSettings(enabled=False)) as server:
        nobody = server.anonymous()
        await nobody.post("register", {}, expect=(403, "M_FORBIDDEN"))
        await nobody.post("register", {**WISH, "auth": DUMMY}, expect=(403, "M_FORBIDDEN"))
        await nobody.post("register", {}, kind="guest", expect=(403, "M_FORBIDDEN"))
        await nobody.get("register/available", username="alice", expect=(403, "M_FORBIDDEN"))
        await nobody.get(TOKEN_VALIDITY, token="x", expect=(403, "M_FORBIDDEN"))


async def test_a_server_without_guests(run: Any) -> None:
    async with run(RegistrationSettings(enabled=True, require_verification=False)) as server:
        await server.anonymous().post("register", {}, kind="guest", expect=(403, "M_FORBIDDEN"))


async def test_the_name_of_the_servers_notices_is_taken(run: Any) -> None:
    settings = RegistrationSettings(enabled=True, require_verification=False)
    async with run(settings, server_notices=ServerNoticesSettings(localpart="notices")) as server:
        await server.anonymous().get("register/available", username="Notices", expect=(400, "M_EXCLUSIVE"))


# --- Registration tokens ---


@pytest.fixture
async def by_token(run: Any) -> AsyncIterator[Server]:
    async with run(RegistrationSettings(enabled=True, require_verification=True)) as server:
        yield server


async def add_token(server: Server, token: str, uses: int | None = None, expires_ms: int | None = None) -> None:
    await server.application.base.database.execute(
        "INSERT INTO registration_tokens VALUES ($1, $2, 0, $3, 0)", token, uses, expires_ms
    )


def token_auth(token: Any) -> dict[str, Any]:
    return {"type": "m.login.registration_token", "token": token}


async def test_alice_registers_with_the_token_she_was_given(by_token: Server) -> None:
    await add_token(by_token, "wonderland", uses=1)
    nobody = by_token.anonymous()
    required = await nobody.post("register", WISH, expect=401)
    assert required["flows"] == [{"stages": ["m.login.registration_token"]}]
    assert await nobody.get(TOKEN_VALIDITY, token="wonderland") == {"valid": True}
    auth = {**token_auth("wonderland"), "session": required["session"]}
    assert (await nobody.post("register", {"auth": auth}))["user_id"] == "@alice:test"
    assert await nobody.get(TOKEN_VALIDITY, token="wonderland") == {"valid": False}


async def test_a_token_for_one_makes_one_account(by_token: Server) -> None:
    await add_token(by_token, "once", uses=1)
    nobody = by_token.anonymous()
    sessions = []
    for name in ("alice", "mallory"):
        body = {"username": name, "auth": token_auth("once")}
        await nobody.post("register", body, expect=(400, "M_MISSING_PARAM"))
        session = (await nobody.post("register", {"username": name, "password": PASSWORD}, expect=401))["session"]
        sessions.append(session)
    await nobody.post("register", {"auth": {**token_auth("once"), "session": sessions[0]}})
    late = await nobody.post("register", {"auth": {**token_auth("once"), "session": sessions[1]}}, expect=401)
    assert late["errcode"] == "M_FORBIDDEN"
    assert await by_token.application.base.database.fetchval("SELECT count(*) FROM users") == 1


@pytest.mark.parametrize("token", ["unknown", "", "used up", "expired", "x" * 65, "ä"])
async def test_tokens_that_open_nothing(by_token: Server, token: str, clock: FakeClock) -> None:
    await add_token(by_token, "expired", expires_ms=clock.now_ms())
    nobody = by_token.anonymous()
    assert await nobody.get(TOKEN_VALIDITY, token=token) == {"valid": False}
    answer = await nobody.post("register", {**WISH, "auth": token_auth(token)}, expect=401)
    assert answer["errcode"] == "M_FORBIDDEN"


async def test_the_dummy_stage_opens_nothing_where_a_token_is_asked_for(by_token: Server) -> None:
    answer = await by_token.anonymous().post("register", {**WISH, "auth": DUMMY}, expect=401)
    assert answer["errcode"] == "M_UNRECOGNIZED"
    body = {**WISH, "auth": token_auth({"token": "x"})}
    await by_token.anonymous().post("register", body, expect=(400, "M_BAD_JSON"))


# --- Captchas ---


@asynccontextmanager
async def captcha_server() -> AsyncIterator[str]:
    """Knows one right answer to every captcha."""

    async def verify(request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        right = (form["secret"], form["response"], form["remoteip"]) == ("s3cret", "right", "127.0.0.1")
        return web.json_response({"success": right})

    runner = web.ServerRunner(web.Server(verify))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/siteverify"
    finally:
        await runner.cleanup()


def with_captcha(url: str, *, in_flow: bool) -> RegistrationSettings:
    captcha = RecaptchaSettings(in_flow=in_flow, siteverify_url=url, public_key="public", private_key="s3cret")
    return RegistrationSettings(enabled=True, require_verification=False, recaptcha=captcha)


async def test_alice_solves_a_captcha(run: Any) -> None:
    async with captcha_server() as url, run(with_captcha(url, in_flow=True)) as server:
        nobody = server.anonymous()
        required = await nobody.post("register", WISH, expect=401)
        assert required["flows"] == [{"stages": ["m.login.recaptcha"]}]
        assert required["params"] == {"m.login.recaptcha": {"public_key": "public"}}
        auth = {"type": "m.login.recaptcha", "session": required["session"]}
        wrong = await nobody.post("register", {"auth": {**auth, "response": "wrong"}}, expect=401)
        assert wrong["errcode"] == "M_CAPTCHA_INVALID"
        assert (await nobody.post("register", {"auth": {**auth, "response": "right"}}))["user_id"] == "@alice:test"


async def test_a_captcha_may_be_solved_although_no_flow_asks_for_it(run: Any) -> None:
    async with captcha_server() as url, run(with_captcha(url, in_flow=False)) as server:
        body = {**WISH, "auth": {"type": "m.login.recaptcha", "response": "right"}}
        required = await server.anonymous().post("register", body, expect=401)
        assert required["completed"] == ["m.login.recaptcha"]
        auth = {**DUMMY, "session": required["session"]}
        assert (await server.anonymous().post("register", {"auth": auth}))["user_id"] == "@alice:test"


async def test_a_captcha_server_that_is_away(run: Any) -> None:
    async with run(with_captcha("http://127.0.0.1:1/siteverify", in_flow=True)) as server:
        body = {**WISH, "auth": {"type": "m.login.recaptcha", "response": "right"}}
        await server.anonymous().post("register", body, expect=503)


# --- Rate limits ---


async def log_in_from(number: int, client: Client, body: dict[str, Any], expect: Any) -> Any:
    """From everywhere, a guess each: who guesses from one address waits sooner (test_login_back_off.py)."""
    headers = {"X-Forwarded-For": f"192.0.2.{number}"}
    return await client.anonymous().request("POST", "login", json=body, headers=headers, expect=expect)


async def test_guessing_a_password_is_slowed_down(run: Any, clock: FakeClock) -> None:
    settings = RegistrationSettings(enabled=True, require_verification=False)
    async with run(settings, rate_limits=RateLimitSettings(enabled=True)) as server:
        alice = await server.register("alice")
        guess = {"type": "m.login.password", "user": "alice", "password": "guess"}
        for number in range(10):
            await log_in_from(number, alice, guess, (403, "M_FORBIDDEN"))
        answer = await log_in_from(10, alice, guess, (429, "M_LIMIT_EXCEEDED"))
        assert answer["retry_after_ms"] > 0
        clock.advance(ms=answer["retry_after_ms"])
        await alice.login()


async def test_guessing_does_not_tell_who_has_an_address(run: Any, clock: FakeClock) -> None:
    settings = RegistrationSettings(enabled=True, require_verification=False)
    async with run(settings, rate_limits=RateLimitSettings(enabled=True)) as server:
        alice = await server.register("alice")
        addresses = server.application.accounts.threepids.addresses
        assert await addresses.rows.add(addresses.database, "email", "alice@example.org", alice.user_id, 1, 1)
        for address in ("alice@example.org", "nobody@example.org"):
            clock.advance(minutes=5)
            spellings = (address, f" {address}", address.upper())
            for attempt in range(11):
                identifier = {"type": "m.id.thirdparty", "medium": "email", "address": spellings[attempt % 3]}
                guess = {"type": "m.login.password", "password": "guess", "identifier": {**identifier, "n": attempt}}
                expect: Any = 403 if attempt < 10 else (429, "M_LIMIT_EXCEEDED")
                await log_in_from(attempt, alice, guess, expect)
