"""Who may ask more often than others, and rates that an operator chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.settings import RateLimitSettings, RateSettings, Settings
from homeserver.protocol.errors import LimitExceeded
from homeserver.services.rate_limits import BucketRateLimiter, Exemptions, Rate
from homeserver.services.requester import on_behalf_of
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings

TIGHT = {"message": Rate(burst=1, interval_ms=1000), "login": Rate(burst=1, interval_ms=1000)}
ALICE, BOT = on_behalf_of("@alice:test"), on_behalf_of("@bot:test")


def asks(limiter: BucketRateLimiter, *requesters: object) -> None:
    for requester in requesters:
        limiter.check("message", requester, "192.0.2.1")  # type: ignore[arg-type]


def test_administrators_and_those_named_are_not_limited(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(clock, TIGHT, exemptions=Exemptions(user_ids={"@bot:test"}))
    admin = replace(on_behalf_of("@root:test"), is_admin=True)
    asks(limiter, *[admin] * 3, *[BOT] * 3, ALICE)
    with pytest.raises(LimitExceeded):
        asks(limiter, ALICE)
    limiter = BucketRateLimiter(clock, TIGHT, exemptions=Exemptions(admins=False))
    with pytest.raises(LimitExceeded):
        asks(limiter, admin, admin)


def test_a_rate_of_ones_own_is_for_sending_and_none_for_everything(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(clock, TIGHT)
    limiter.own_rates["@alice:test"] = Rate(burst=3, interval_ms=1000)
    asks(limiter, ALICE, ALICE, ALICE)
    limiter.check("login", ALICE, "")
    for limit in ("message", "login"):
        with pytest.raises(LimitExceeded):
            limiter.check(limit, ALICE, "")
    limiter.own_rates["@alice:test"] = None
    asks(limiter, *[ALICE] * 9)
    limiter.check("login", ALICE, "")


def test_who_may_send_without_a_limit_is_guessed_at_no_more_often(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(clock)
    limiter.own_rates["@alice:test"] = None
    for _ in range(limiter.rates["password_guess"].burst):
        limiter.check_left("password_guess", "@alice:test")
        limiter.count("password_guess", "@alice:test")
    for guess in (limiter.count, limiter.check_left):
        with pytest.raises(LimitExceeded):
            guess("password_guess", "@alice:test")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    rates = (RateSettings(what="message", burst=2, interval_ms=60_000),)
    return server_settings(tmp_path, rate_limits=RateLimitSettings(rates=rates, exempt_admins=False))


PATH = "/_synapse/admin/v1/users/@alice:test/override_ratelimit"


async def test_the_operators_rate_and_what_an_administrator_makes_of_it(server: Server) -> None:
    alice, root = await server.register("alice"), await server.administrator()
    room_id = await alice.create_room()
    for _ in range(2):
        await alice.send(room_id, "hello")
    answer = await alice.put(("rooms", room_id, "send", "m.room.message", "3"), {}, expect=(429, "M_LIMIT_EXCEEDED"))
    assert 0 < answer["retry_after_ms"] <= 60_000
    assert await root.get(PATH) == {}
    own = {"messages_per_second": 10, "burst_count": 5}
    assert await root.post(PATH, own) == own == await root.get(PATH)
    await root.post(PATH, {})
    assert await root.get(PATH) == {"messages_per_second": 0, "burst_count": 0}
    for _ in range(9):
        await alice.send(room_id, "hello")
    actions = (await root.get("/_voicechat/admin/v1/audit"))["entries"]
    assert [each["action"] for each in actions[:2]] == ["user.rate", "user.rate"]


async def test_it_outlives_a_restart_and_can_be_taken_back(
    settings: Settings, database_dsn: str, clock: FakeClock
) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, root = await server.register("alice"), await server.administrator()
        room_id = await alice.create_room()
        await root.post(PATH, {"messages_per_second": 0, "burst_count": 0})
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice.base_url = root.base_url = server.base_url
        alice.session = root.session = server.session
        for _ in range(5):
            await alice.send(room_id, "hello")
        await root.delete(PATH)
        for _ in range(2):
            await alice.send(room_id, "hello")
        await alice.put(("rooms", room_id, "send", "m.room.message", "x"), {}, expect=429)


async def test_questions_that_make_no_sense(server: Server) -> None:
    alice, root = await server.register("alice"), await server.administrator()
    await alice.get(PATH, expect=(403, "M_FORBIDDEN"))
    await root.get(PATH.replace("alice", "nobody"), expect=(404, "M_NOT_FOUND"))
    await root.post(PATH.replace(":test", ":elsewhere"), {}, expect=400)
    for body in ({"messages_per_second": -1}, {"burst_count": 10**9}, {"messages_per_second": "many"}):
        await root.post(PATH, body, expect=400)


async def test_a_class_that_there_is_not(tmp_path: Path, database_dsn: str, clock: FakeClock) -> None:
    settings = server_settings(tmp_path, rate_limits=RateLimitSettings(rates=(RateSettings(what="messages"),)))
    with pytest.raises(ConfigError, match="'messages' is not limited; did you mean message"):
        async with running_homeserver(settings, database_dsn, clock):
            pass
