"""Alice gives her account a second factor, and Mallory, who knows her password, stays outside."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pyotp
import pytest

from homeserver.services.second_factor.second_factor import FREE_FAILURES
from tests.cast import PASSWORD, Client, Server

ROOT = "/_voicechat/client/v1/second_factor"
STAGE = "org.voicechat.totp"
FLOWS = [{"stages": ["m.login.password", STAGE]}]


class App:
    """An authenticator app. Its clock is the server's, `late_s` behind."""

    def __init__(self, server: Server, secret: str, late_s: int = 0) -> None:
        self.server, self.totp, self.late_s = server, pyotp.TOTP(secret), late_s

    @property
    def code(self) -> str:
        return self.totp.at(self.server.clock.now_ms() // 1000 - self.late_s)

    def next_code(self) -> str:
        self.server.clock.advance(seconds=30)
        return self.code


class Alice:
    """With her app and her recovery codes."""

    def __init__(self, client: Client, app: App, recovery: list[str]) -> None:
        self.client, self.app, self.recovery = client, app, recovery

    async def sign_in(self, password: str = PASSWORD, expect: Any = 200, **body: Any) -> Any:
        wanted = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}}
        return await self.client.anonymous().post("login", {**wanted, "password": password, **body}, expect=expect)

    async def sign_in_with(self, code: str, expect: Any = 200) -> Any:
        return await self.sign_in(auth={"type": STAGE, "code": code}, expect=expect)


async def enrol(server: Server, client: Client) -> Alice:
    offer = await client.post(f"{ROOT}/totp", {"auth": client.password_auth()})
    app = App(server, offer["secret"])
    answer = await client.post(f"{ROOT}/totp/verify", {"code": app.code})
    return Alice(client, app, answer["recovery_codes"])


@pytest.fixture
async def alice(server: Server) -> Alice:
    return await enrol(server, await server.register("alice"))


async def test_what_the_app_is_told(server: Server) -> None:
    alice = await server.register("alice")
    required = await alice.post(f"{ROOT}/totp", expect=401)
    assert required["flows"] == [{"stages": ["m.login.password"]}]
    offer = await alice.post(f"{ROOT}/totp", {"auth": alice.password_auth()})
    parsed = pyotp.parse_uri(offer["uri"])
    assert (parsed.name, parsed.issuer, parsed.secret) == ("@alice:test", "test", offer["secret"])
    assert len(offer["secret"]) == 32
    assert offer["qr_svg"].startswith("<svg")
    assert await alice.get(ROOT) == {
        "enabled": False, "enabled_ts": None, "recovery_codes_left": 0, "required": False,
    }  # fmt: skip
    # Nothing has changed before the app has shown that it has the secret.
    await alice.login()


async def test_a_password_alone_is_not_enough_any_more(alice: Alice) -> None:
    answer = await alice.sign_in(expect=(401, "M_UNAUTHORIZED"))
    assert (answer["flows"], answer["completed"]) == (FLOWS, ["m.login.password"])
    assert "session" not in answer
    assert (await alice.sign_in_with(alice.app.next_code()))["user_id"] == "@alice:test"


async def test_clients_that_know_of_passwords_only_send_the_code_behind_it(alice: Alice) -> None:
    assert (await alice.sign_in(f"{PASSWORD} {alice.app.next_code()}"))["user_id"] == "@alice:test"
    await alice.sign_in(f"{PASSWORD} {alice.app.code}", expect=(403, "M_FORBIDDEN"))
    await alice.sign_in(f"{PASSWORD} {alice.recovery[3]}")
    await alice.sign_in(f"{PASSWORD} 000000", expect=(403, "M_FORBIDDEN"))


async def test_a_password_may_end_like_a_code(server: Server) -> None:
    bob = await server.register("bob", password="correct horse 123456")
    await bob.login()
    enrolled = await enrol(server, bob)
    body = {"auth": {"type": STAGE, "code": enrolled.app.next_code()}}
    await bob.login(password="correct horse 123456", **body)
    await bob.login(password=f"correct horse 123456 {enrolled.app.next_code()}")


async def test_a_wrong_password_says_nothing_of_codes(alice: Alice) -> None:
    for body in ({}, {"auth": {"type": STAGE, "code": alice.app.next_code()}}):
        answer = await alice.sign_in("guess", expect=(403, "M_FORBIDDEN"), **body)
        assert answer["error"] == "The user name or the password is not correct"
    # And uses no code up.
    await alice.sign_in_with(alice.app.code)


async def test_mallory_repeats_a_code_that_he_has_seen(alice: Alice) -> None:
    code = alice.app.next_code()
    await alice.sign_in_with(code)
    await alice.sign_in_with(code, expect=(403, "M_FORBIDDEN"))
    # Nor one that was on the screen before it.
    await alice.sign_in_with(App(alice.app.server, alice.app.totp.secret, 30).code, expect=(403, "M_FORBIDDEN"))
    await alice.sign_in_with(alice.app.next_code())


async def test_the_code_of_the_enrolment_is_used_up(alice: Alice) -> None:
    await alice.sign_in_with(alice.app.code, expect=403)


@pytest.mark.parametrize(("late_s", "expect"), [(30, 200), (-30, 200), (60, 403), (-60, 403)])
async def test_clocks_differ_a_little(alice: Alice, late_s: int, expect: int) -> None:
    alice.app.server.clock.advance(minutes=5)
    await alice.sign_in_with(App(alice.app.server, alice.app.totp.secret, late_s).code, expect=expect)


async def test_mallory_guesses_codes(alice: Alice) -> None:
    app = alice.app
    wrong = "000000" if app.next_code() != "000000" else "000001"
    for _ in range(FREE_FAILURES):
        await alice.sign_in_with(wrong, expect=(403, "M_FORBIDDEN"))
    answer = await alice.sign_in_with(app.code, expect=(429, "M_LIMIT_EXCEEDED"))
    assert answer["retry_after_ms"] == 15_000
    await alice.sign_in_with(alice.recovery[0], expect=429)
    app.server.clock.advance(seconds=15)
    await alice.sign_in_with(wrong, expect=403)
    # Twice as long each time, until a right one.
    assert (await alice.sign_in_with(app.code, expect=429))["retry_after_ms"] == 30_000
    await alice.sign_in_with(app.next_code())
    await alice.sign_in_with(wrong, expect=403)
    await alice.sign_in_with(app.next_code())


async def test_recovery_codes_are_good_once(alice: Alice) -> None:
    assert len(set(alice.recovery)) == 10
    assert all(re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code) for code in alice.recovery)
    await alice.sign_in_with(alice.recovery[0].upper().replace("-", " "))
    await alice.sign_in_with(alice.recovery[0], expect=(403, "M_FORBIDDEN"))
    assert (await alice.client.get(ROOT))["recovery_codes_left"] == 9
    stored = await alice.app.server.application.base.database.fetch("SELECT code_hash FROM recovery_codes")
    assert all(len(row[0]) == 32 for row in stored)


async def prove(alice: Alice, method: str, path: str, code: str) -> Any:
    """As a client does that goes from stage to stage."""
    client = alice.client
    required = await client.request(method, path, json={}, expect=401)
    assert required["flows"] == FLOWS
    auth = client.password_auth(session=required["session"])
    again = await client.request(method, path, json={"auth": auth}, expect=401)
    assert again["completed"] == ["m.login.password"]
    auth = {"type": STAGE, "code": code, "session": required["session"]}
    return await client.request(method, path, json={"auth": auth})


async def test_whoever_has_one_proves_it_for_every_operation(alice: Alice) -> None:
    other = await alice.sign_in_with(alice.app.next_code())
    await prove(alice, "DELETE", f"devices/{other['device_id']}", alice.app.next_code())
    required = await alice.client.post("account/deactivate", expect=401)
    # The code first is out of order.
    auth = {"type": STAGE, "code": alice.app.next_code(), "session": required["session"]}
    answer = await alice.client.post("account/deactivate", {"auth": auth}, expect=(401, "M_FORBIDDEN"))
    assert answer["completed"] == []


@pytest.mark.parametrize(
    ("code", "errcode"),
    [(None, "M_MISSING_PARAM"), ("", "M_FORBIDDEN"), ("٠١٢٣٤٥", "M_FORBIDDEN"), ("1" * 9000, "M_FORBIDDEN")],
)
async def test_codes_that_are_none(alice: Alice, code: str | None, errcode: str) -> None:
    required = await alice.client.delete("devices/OTHER", {}, expect=401)
    session = required["session"]
    await alice.client.delete("devices/OTHER", {"auth": alice.client.password_auth(session=session)}, expect=401)
    auth = {"type": STAGE, "session": session} | ({} if code is None else {"code": code})
    await alice.client.delete("devices/OTHER", {"auth": auth}, expect=(401, errcode))


@pytest.mark.parametrize(
    ("auth", "errcode"),
    [
        ({"type": "m.login.dummy"}, "M_UNRECOGNIZED"),
        ({"type": STAGE}, "M_MISSING_PARAM"),
        ({"type": STAGE, "code": 123456}, "M_BAD_JSON"),
        ("123456", "M_BAD_JSON"),
    ],
)
async def test_logins_that_are_malformed(alice: Alice, auth: Any, errcode: str) -> None:
    await alice.sign_in(auth=auth, expect=errcode)


async def test_clients_that_do_not_know_the_stage_open_a_page(alice: Alice) -> None:
    client = alice.client
    required = await client.delete("devices/OTHER", {}, expect=401)
    session = required["session"]
    await client.delete("devices/OTHER", {"auth": client.password_auth(session=session)}, expect=401)
    path = f"auth/{STAGE}/fallback/web"
    shown = await client.raw("GET", path, query={"session": session})
    assert b'name="code"' in shown.body
    for code, status in (("000000", 403), (alice.app.next_code(), 200)):
        form = f"session={session}&code={code}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.raw("POST", path, data=form, headers=headers, check=False)
        assert answer.status == status
    await client.delete("devices/OTHER", {"auth": {"session": session}})


async def test_another_phone_and_new_recovery_codes(alice: Alice) -> None:
    offer = await prove(alice, "POST", f"{ROOT}/totp", alice.app.next_code())
    new = App(alice.app.server, offer["secret"])
    # The old one works as long as the new one has shown nothing.
    await alice.sign_in_with(alice.app.next_code())
    await alice.client.post(f"{ROOT}/totp/verify", {"code": "000000"}, expect=(403, "M_FORBIDDEN"))
    recovery = (await alice.client.post(f"{ROOT}/totp/verify", {"code": new.code}))["recovery_codes"]
    await alice.sign_in_with(alice.app.next_code(), expect=403)
    await alice.sign_in_with(alice.recovery[0], expect=403)
    await alice.sign_in_with(recovery[0])
    alice.app = new
    answer = await prove(alice, "POST", f"{ROOT}/recovery_codes", new.next_code())
    await alice.sign_in_with(recovery[1], expect=403)
    await alice.sign_in_with(answer["recovery_codes"][0])


async def test_an_offer_is_good_for_half_an_hour(server: Server) -> None:
    alice = await server.register("alice")
    await alice.post(f"{ROOT}/totp/verify", {"code": "000000"}, expect=(404, "M_NOT_FOUND"))
    offer = await alice.post(f"{ROOT}/totp", {"auth": alice.password_auth()})
    server.clock.advance(minutes=31)
    await alice.post(f"{ROOT}/totp/verify", {"code": App(server, offer["secret"]).code}, expect=(404, "M_NOT_FOUND"))


async def test_alice_takes_it_away_again(alice: Alice) -> None:
    await prove(alice, "DELETE", f"{ROOT}/totp", alice.app.next_code())
    await alice.sign_in()
    await alice.client.delete(f"{ROOT}/totp", {"auth": alice.client.password_auth()}, expect=(404, "M_NOT_FOUND"))


async def test_an_administrator_helps_who_has_lost_everything(server: Server, alice: Alice) -> None:
    path = "/_voicechat/admin/v1/users/@alice:test/second_factor"
    await alice.client.delete(path, expect=(403, "M_FORBIDDEN"))
    ada = await server.administrator()
    assert (await ada.get(path))["enabled"] is True
    await ada.delete(path)
    await alice.sign_in()
    await ada.delete(path, expect=(404, "M_NOT_FOUND"))
    entries = (await ada.get("/_voicechat/admin/v1/audit"))["entries"]
    actions = {(each["action"], each["who"]) for each in entries}
    assert {("second_factor.enrol", "@alice:test"), ("second_factor.reset", "@ada:test")} <= actions


async def test_two_requests_with_one_code_at_once(alice: Alice) -> None:
    code = alice.app.next_code()
    answers = await asyncio.gather(*(alice.sign_in_with(code, expect={200, 403}) for _ in range(4)))
    assert sum("access_token" in each for each in answers) == 1
