"""A voice channel says what it wishes; nonsense says nothing."""

from __future__ import annotations

import pytest

from homeserver.protocol.auth.power_levels import parse_power_levels
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.voice_channel import (
    MODERATE,
    MOVE,
    VoiceChannel,
    level_to_moderate,
    level_to_move,
    parse_voice_channel,
)


def test_a_channel_says_what_it_wishes() -> None:
    content = {
        "user_limit": 8,
        "bitrate": 96_000,
        "frame_ms": 60,
        "region": "frankfurt",
        "afk_room_id": "!bench:test",
        "afk_after_ms": 300_000,
    }
    assert parse_voice_channel(content) == VoiceChannel(8, 96_000, 60, "frankfurt", "!bench:test", 300_000)
    assert parse_voice_channel({}) == VoiceChannel()


@pytest.mark.parametrize(
    "content",
    [
        {"user_limit": 0}, {"user_limit": 1001}, {"user_limit": "5"}, {"user_limit": True}, {"user_limit": 5.0},
        {"bitrate": 23_999}, {"bitrate": 96_001}, {"bitrate": None}, {"bitrate": [64_000]},
        {"frame_ms": 5}, {"frame_ms": 30}, {"frame_ms": 120}, {"frame_ms": {}},
        {"region": ""}, {"region": 7}, {"region": "x" * 65},
        {"afk_room_id": "lounge"}, {"afk_room_id": "#lounge:test"}, {"afk_room_id": 3}, {"afk_room_id": "!" + "x" * 300},
        {"afk_after_ms": 0}, {"afk_after_ms": -60_000}, {"afk_after_ms": 10**12}, {"afk_after_ms": "60000"},
    ],
)  # fmt: skip
def test_nonsense_says_nothing(content: dict[str, object]) -> None:
    assert parse_voice_channel(content) == VoiceChannel()


def test_who_may_kick_may_moderate_the_call_until_the_room_says_otherwise() -> None:
    version = ROOM_VERSIONS["12"]
    assert level_to_moderate(parse_power_levels({"kick": 70}, version)) == 70
    assert level_to_moderate(parse_power_levels({"kick": 70, "events": {MODERATE: 20}}, version)) == 20


def test_moving_others_needs_what_muting_them_needs_until_the_room_says_otherwise() -> None:
    version = ROOM_VERSIONS["12"]
    assert level_to_move(parse_power_levels({"kick": 70}, version)) == 70
    assert level_to_move(parse_power_levels({"events": {MODERATE: 20}}, version)) == 20
    assert level_to_move(parse_power_levels({"events": {MODERATE: 20, MOVE: 30}}, version)) == 30
