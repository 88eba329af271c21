"""What a server has under /livekit depends on who forwards its calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import ListenerSettings, LiveKitSettings, Settings, VoiceSettings
from tests.cast import Server
from tests.homeserver import server_settings

SIGNALLING, WEBHOOK = "/livekit/sfu/0/rtc/v1/validate", "/livekit/sfu_webhook"
CLUSTER = LiveKitSettings(url="ws://127.0.0.1:9", api_key="k", api_secret="a secret of at least thirty-two bytes")


@pytest.fixture(params=["embedded", "livekit", "off", "nowhere"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(kind: str, tmp_path: Path) -> Settings:
    voice = {
        "embedded": VoiceSettings(workers=0, port=0, bind="127.0.0.1"),
        "livekit": VoiceSettings(backend="livekit", livekit=(CLUSTER,)),
        "off": VoiceSettings(enabled=False),
    }
    if kind != "nowhere":
        return server_settings(tmp_path, voice=voice[kind])
    # An address that is not ours: whoever listened there would fail.
    deaf = ListenerSettings(port=0, resources=("client", "federation", "keys", "media", "admin"))
    return server_settings(tmp_path, voice=VoiceSettings(workers=0, port=0, bind="192.0.2.1"), listeners=(deaf,))


async def test_only_the_chosen_one_answers(server: Server, kind: str) -> None:
    """A LiveKit that cannot be reached keeps nobody from chatting."""
    anybody = server.anonymous()
    signalling = await anybody.get(SIGNALLING, expect=404)
    webhook = await anybody.post(WEBHOOK, {}, expect={401, 404})
    expected = {
        "embedded": ("M_NOT_FOUND", "M_UNRECOGNIZED"),
        "livekit": ("M_UNRECOGNIZED", "M_UNAUTHORIZED"),
        "off": ("M_UNRECOGNIZED", "M_UNRECOGNIZED"),
        "nowhere": ("M_UNRECOGNIZED", "M_UNRECOGNIZED"),
    }
    assert (signalling["errcode"], webhook["errcode"]) == expected[kind]
    alice = await server.register("alice")
    await alice.send(await alice.create_room(), "hello")
