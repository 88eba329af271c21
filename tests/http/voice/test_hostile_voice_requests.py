"""Mallory asks voice for what nobody can have: no answer is a fault of ours, and no secret is written down."""

from __future__ import annotations

import logging

import pytest

from tests.cast import Server
from tests.clock import FakeClock
from tests.voice.callers import ask_homeserver, get_token, sfu_get
from tests.voice.recording_backend import RecordingBackend

DELAYED = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events"
MODERATE = "/_voicechat/client/v1/rooms"
UNSTORABLE = ("%00", "a%00b", "%ED%A0%80", "%FF", "x" * 3000)
"""In paths: NUL, half a surrogate pair, what is no UTF-8, and what is too long."""


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


@pytest.mark.parametrize("name", UNSTORABLE)
async def test_ids_that_cannot_exist_are_not_found(server: Server, name: str) -> None:
    alice = await server.register("alice")
    for path in (f"{DELAYED}/{name}/restart", f"{DELAYED}/{name}/cancel", f"{DELAYED}/{name}/send"):
        assert (await server.anonymous().raw("POST", path, check=False)).status in (400, 404)
    for path in (f"{DELAYED}/{name}", f"{DELAYED}?delay_id={name}", f"{DELAYED}?room_id={name}&type={name}"):
        assert (await alice.raw("GET", path, check=False)).status < 500
    assert (await alice.raw("GET", f"{DELAYED}?from=1_{name}", check=False)).status < 500
    for verb in ("mute", "disconnect", "move"):
        data = b'{"to":"!r:test"}'
        answer = await alice.raw("POST", f"{MODERATE}/{name}/voice/{name}/{verb}", data=data, check=False)
        assert answer.status in (400, 403, 404)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "x" * 300, ""])
async def test_names_that_cannot_be_stored_are_refused(server: Server, text: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await sfu_get(alice, room_id, device_id=text, expect=400)
    await get_token(alice, room_id, text, expect=400)
    await get_token(alice, room_id, slot_id=text, expect=400)
    await ask_homeserver(alice, room_id, text, expect=400)
    await sfu_get(alice, text, expect={400, 403})


async def test_delay_ids_are_not_in_the_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Who knows one may send the event, or keep it from being sent."""
    with caplog.at_level(logging.INFO):
        await server.anonymous().post(f"{DELAYED}/a-secret-delay-id/restart", expect=404)
        await server.anonymous().post(f"{DELAYED}/a-secret-delay-id", {"action": "send"}, expect=404)
    assert "delayed_events" in caplog.text
    assert "a-secret-delay-id" not in caplog.text
