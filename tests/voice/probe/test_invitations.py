"""Asking for a call, and the servers that give none."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest
from aiohttp import web

from tests.voice.probe.front import OPERATOR, Answer, front, refuses, says
from voice.probe.invitation import NotInvited, ask


async def refusal(base_url: str) -> str:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(NotInvited) as refused:
            await ask(http, base_url, OPERATOR.request())
    return str(refused.value)


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (refuses(403, "M_FORBIDDEN", "Only who has the key"), "refuses the test: Only who has the key."),
        (refuses(404, "M_UNRECOGNIZED", "?"), "has no voice: voice.enabled is off"),
        (refuses(503, "M_UNKNOWN", "The SFU is not there."), "Voice is down: The SFU is not there."),
        (refuses(429, "M_LIMIT_EXCEEDED", "Too many requests"), "answers 429: Too many requests."),
        (
            says(404, "<h1>nginx</h1>"),
            "answers 404, and not as VoiceChat does: the proxy has to send all of /livekit/probe",
        ),
        (says(302), "answers 302, and not as VoiceChat does"),
        (says(200, "<h1>Welcome</h1>"), "is no VoiceChat server"),
        (says(200, '{"url": "ws://x", "tokens": ["one"]}'), "is no VoiceChat server"),
    ],
)
async def test_a_server_that_gives_no_call(answer: Answer, meaning: str) -> None:
    async with front() as opened:
        opened.probe = answer
        assert meaning in await refusal(opened.url)


async def test_nobody_is_there() -> None:
    assert (
        await refusal("http://127.0.0.1:1")
        == "Nobody answers at http://127.0.0.1:1: Connect call failed ('127.0.0.1', 1)."
    )


async def test_what_answers_does_not_speak_tls() -> None:
    async with front() as opened:
        assert "does not speak TLS" in await refusal(opened.url.replace("http:", "https:"))


async def test_the_certificate_is_not_trusted(self_signed: ssl.SSLContext) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self_signed).start()
    try:
        sentence = await refusal(f"https://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
    assert "is not trusted: self-signed certificate" in sentence


async def test_the_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> object:
        raise OSError("no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown, raising=False)
    assert "The name voice.test cannot be found" in await refusal("https://voice.test")


async def test_an_address_that_is_none() -> None:
    assert "is not an address" in await refusal("nonsense")
