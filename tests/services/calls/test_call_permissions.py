"""The table of power levels of calls, row by row."""

from __future__ import annotations

import math
from typing import Any

import pytest

from homeserver.protocol.auth.power_levels import PowerLevels, parse_power_levels
from homeserver.protocol.errors import Forbidden
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.calls.permissions import level_to_join, rights_by_levels

ALL = ("camera", "microphone", "screen_share", "screen_share_audio")
STATE, UNSTABLE, STABLE = "org.matrix.msc3401.call.member", "org.matrix.msc4143.rtc.member", "m.rtc.member"


def levels(content: dict[str, Any], version: str = "11") -> PowerLevels:
    return parse_power_levels({"users": {"@mod:test": 50, "@alice:test": 10}, **content}, ROOM_VERSIONS[version])


@pytest.mark.parametrize(
    "content, needed",
    [
        ({}, 0),  # the sticky kind is an ordinary event
        ({"events_default": 30, "state_default": 20}, 20),
        ({"events": {STATE: 50}}, 50),  # named on purpose: nobody comes in by the other names
        ({"events": {STATE: 50, UNSTABLE: 10}}, 50),
        ({"events": {STATE: 50, UNSTABLE: 0, STABLE: 0}}, 50),  # a new room of ours after a client's switch was used
        ({"events": {STATE: 0}}, 0),
        ({"events": {STABLE: 100}}, 100),
        ({"events": {"m.room.name": 3}, "events_default": 7}, 7),
    ],
)
def test_what_joining_needs(content: dict[str, Any], needed: int) -> None:
    assert level_to_join(levels(content)) == needed


def test_members_may_do_everything_but_shout_others_down() -> None:
    rights = rights_by_levels(levels({}), "@bob:test")
    assert (rights.sources, rights.priority) == (ALL, False)


def test_whoever_can_kick_is_heard_first() -> None:
    assert rights_by_levels(levels({}), "@mod:test").priority
    assert not rights_by_levels(levels({"kick": 60}), "@mod:test").priority
    assert rights_by_levels(levels({"events": {"org.voicechat.voice.priority": 10}}), "@alice:test").priority


@pytest.mark.parametrize(
    "key, lost",
    [
        ("speak", {"microphone"}),
        ("video", {"camera"}),
        ("screen", {"screen_share", "screen_share_audio"}),
    ],
)
def test_each_right_has_its_key(key: str, lost: set[str]) -> None:
    content = {"events": {f"org.voicechat.voice.{key}": 10}}
    assert set(rights_by_levels(levels(content), "@bob:test").sources) == {*ALL} - lost
    assert rights_by_levels(levels(content), "@alice:test").sources == ALL


def test_below_the_level_there_is_nothing() -> None:
    with pytest.raises(Forbidden):
        rights_by_levels(levels({"events": {STATE: 20}}), "@alice:test")


def test_levels_that_cannot_be_read_let_nobody_in() -> None:
    unreadable = levels({"events": {STATE: "banana"}}, version="5")
    assert level_to_join(unreadable) == math.inf
    with pytest.raises(Forbidden):
        rights_by_levels(unreadable, "@mod:test")
