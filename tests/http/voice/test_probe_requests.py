"""The operator asks for an empty call with the server's own signature; nobody else gets one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import RateLimitSettings, Settings, TurnSettings, VoiceSettings
from homeserver.protocol.signing import SigningKey, sign_json
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import SIGNING_KEY, server_settings
from tests.voice.recording_backend import RecordingBackend, read_token
from voice.probe.invitation import PATH, Operator

OPERATOR = Operator("test", SIGNING_KEY)
FORBIDDEN = (403, "M_FORBIDDEN")


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def ask(server: Server, request: Any, *, expect: Any = 200) -> Any:
    return await server.anonymous().post(PATH, request, expect=expect)


async def test_the_operator_gets_a_call_for_two_that_is_in_no_roster(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    answer = await ask(server, OPERATOR.request(now_ms=clock.now_ms(), region="eu"))
    ((room, options),) = sfu.rooms.items()
    assert answer["url"] == sfu.url
    assert answer["turn"] is None
    assert (options.max_participants, options.region) == (2, "eu")
    claims = [read_token(token) for token in answer["tokens"]]
    assert [each.identity for each in claims] == ["probe-talker", "probe-listener"]
    assert {each.video.room for each in claims if each.video} == {room}
    for token in answer["tokens"]:
        sfu.join(token)
    assert server.application.rosters.rosters.memory_usage()["seats"] == 0


async def test_each_call_is_another_one(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    for _ in range(2):
        await ask(server, OPERATOR.request(now_ms=clock.now_ms()))
    assert len(sfu.rooms) == 2


async def test_mallory_has_another_key(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    mallory = Operator("test", SigningKey.from_seed("a_test", bytes([1]) * 32))
    refused = await ask(server, mallory.request(now_ms=clock.now_ms()), expect=FORBIDDEN)
    assert refused["error"] == "Only who has the signing key of test may ask for a probe"
    await ask(server, {**OPERATOR.request(now_ms=clock.now_ms()), "nonce": "0" * 32}, expect=FORBIDDEN)
    await ask(server, {**OPERATOR.request(now_ms=clock.now_ms()), "signatures": {}}, expect=FORBIDDEN)
    assert not sfu.rooms


async def test_mallory_repeats_what_she_overheard(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    request = OPERATOR.request(now_ms=clock.now_ms())
    await ask(server, request)
    refused = await ask(server, request, expect=FORBIDDEN)
    assert refused["error"] == "This request was made before"
    clock.advance(seconds=61)
    refused = await ask(server, request, expect=FORBIDDEN)
    assert refused["error"] == "The clocks of the two machines differ by more than a minute"
    assert len(sfu.rooms) == 1


async def test_a_request_from_the_future_is_remembered_until_it_is_too_old(server: Server, clock: FakeClock) -> None:
    request = OPERATOR.request(now_ms=clock.now_ms() + 59_000)
    await ask(server, request)
    clock.advance(seconds=118)
    refused = await ask(server, request, expect=FORBIDDEN)
    assert refused["error"] == "This request was made before"


async def test_what_was_signed_for_something_else_is_no_request(server: Server, clock: FakeClock) -> None:
    other = {**OPERATOR.request(now_ms=clock.now_ms()), "purpose": "something else"}
    await ask(server, sign_json(other, "test", SIGNING_KEY), expect=FORBIDDEN)
    await ask(server, Operator("other.test", SIGNING_KEY).request(now_ms=clock.now_ms()), expect=FORBIDDEN)


@pytest.mark.parametrize("nonce", ["", "short", "x" * 65])
async def test_nonces_are_neither_short_nor_endless(server: Server, clock: FakeClock, nonce: str) -> None:
    request = sign_json({**OPERATOR.request(now_ms=clock.now_ms()), "nonce": nonce}, "test", SIGNING_KEY)
    await ask(server, request, expect=FORBIDDEN)


async def test_nonsense_is_refused_as_such(server: Server) -> None:
    await ask(server, {"server_name": "test"}, expect=(400, "M_MISSING_PARAM"))
    request = OPERATOR.request(now_ms=1)
    await ask(server, {**request, "ts": "now"}, expect=(400, "M_BAD_JSON"))
    await ask(server, {**request, "signatures": {"test": {"ed25519:a_test": 5}}}, expect=(400, "M_BAD_JSON"))


async def test_an_sfu_that_is_down_is_said_to_be(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    sfu.down = True
    refused = await ask(server, OPERATOR.request(now_ms=clock.now_ms()), expect=(503, "M_UNKNOWN"))
    assert refused["error"].startswith("The SFU cannot be reached")


class TestWithTurn:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        turn = TurnSettings(uris=("turn:turn.test",), shared_secret="north wind", lifetime_ms=3_600_000)
        return server_settings(tmp_path, voice=VoiceSettings(turn=turn))

    async def test_there_are_credentials_for_it(self, server: Server, clock: FakeClock) -> None:
        turn = (await ask(server, OPERATOR.request(now_ms=clock.now_ms())))["turn"]
        assert turn["uris"] == ["turn:turn.test"]
        assert turn["username"].startswith(f"{clock.now_ms() // 1000 + 3600}:probe-")
        assert turn["password"]


class TestWithLimits:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return server_settings(tmp_path, rate_limits=RateLimitSettings(enabled=True))

    async def test_nobody_asks_without_end(self, server: Server, clock: FakeClock) -> None:
        for _ in range(10):
            await ask(server, OPERATOR.request(now_ms=1), expect=FORBIDDEN)
        await ask(server, OPERATOR.request(now_ms=clock.now_ms()), expect=(429, "M_LIMIT_EXCEEDED"))


class TestWithoutVoice:
    @pytest.fixture
    def sfu(self) -> None:
        return None

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return server_settings(tmp_path, voice=VoiceSettings(enabled=False))

    async def test_there_is_nothing_to_ask(self, server: Server, clock: FakeClock) -> None:
        await ask(server, OPERATOR.request(now_ms=clock.now_ms()), expect=(404, "M_UNRECOGNIZED"))
