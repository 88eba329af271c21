"""Whatever Mallory sends into rooms, she gets an error with a code, never a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cast import Server

ROOMS = [
    "!",
    "nonsense",
    "#a:test",
    "!" + "x" * 3000,
    "!ünicode 😀:test",
    "!x:test",
    "@alice:test",
    "!x:bad host",
    "/../..",
]
BODIES: list[Any] = [
    {},
    {"user_id": 5, "new_version": [], "room_id": {}, "visibility": 7, "reason": {}, "membership": []},
    {"user_id": "@" + "x" * 300 + ":test", "new_version": "12", "room_id": "!x", "reason": None},
    {"user_id": "@bob:test\x01", "additional_creators": {}, "new_version": "\U0001f600" * 1000},
    {"user_id": "@bob:test", "reason": "\x00", "membership": "join", "displayname": ["x"]},
    {"a": {"b": [1e400, 2**60, -0.0]}},
    {"m.relates_to": {"event_id": "$x\x00", "rel_type": "m.annotation", "key": "x" * 5000}, "body": "hi"},
    {"m.relates_to": "m.thread", "redacts": "$" + "x" * 400},
]
ENDPOINTS = [
    ("PUT", ["rooms", "{room}", "send", "m.room.message", "t"]),
    ("PUT", ["rooms", "{room}", "send", "m.room.redaction", "t"]),
    ("PUT", ["rooms", "{room}", "send", "m.room.member", "t"]),
    ("PUT", ["rooms", "{room}", "state", "m.room.member", "@mallory:test"]),
    ("PUT", ["rooms", "{room}", "state", "m.room.canonical_alias", ""]),
    ("PUT", ["rooms", "{room}", "state", "m.room.power_levels", ""]),
    ("PUT", ["rooms", "{room}", "state", "m.room.join_rules", ""]),
    ("PUT", ["rooms", "{room}", "state", "m.room.guest_access", ""]),
    ("PUT", ["rooms", "{room}", "state", "", ""]),
    ("PUT", ["rooms", "{room}", "redact", "$event", "t"]),
    ("POST", ["rooms", "{room}", "invite"]),
    ("POST", ["rooms", "{room}", "kick"]),
    ("POST", ["rooms", "{room}", "ban"]),
    ("POST", ["rooms", "{room}", "unban"]),
    ("POST", ["rooms", "{room}", "leave"]),
    ("POST", ["rooms", "{room}", "join"]),
    ("POST", ["join", "{room}"]),
    ("POST", ["knock", "{room}"]),
    ("POST", ["rooms", "{room}", "upgrade"]),
    ("GET", ["rooms", "{room}", "aliases"]),
    ("PUT", ["directory", "list", "room", "{room}"]),
    ("GET", ["directory", "list", "room", "{room}"]),
    ("PUT", ["directory", "room", "{room}"]),
    ("GET", ["directory", "room", "{room}"]),
    ("DELETE", ["directory", "room", "{room}"]),
    ("POST", ["publicRooms"]),
    ("POST", ["createRoom"]),
]


@pytest.mark.parametrize(
    ("method", "path"), ENDPOINTS, ids=lambda value: value if isinstance(value, str) else value[-1]
)
async def test_no_crash(server: Server, method: str, path: list[str]) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    known = await alice.create_room(preset="public_chat", room_version="5")
    await mallory.join(known)
    for room in [known, *ROOMS] if "{room}" in path else [known]:
        for body in BODIES:
            parts = [room if part == "{room}" else part for part in path]
            answer = await mallory.raw(method, parts, data=json.dumps(body).encode(), check=False)
            assert answer.status < 500, (parts, body, answer.body)
            if answer.status >= 400:
                assert answer.json()["errcode"].startswith("M_"), (parts, body, answer.body)
    # The room has taken no harm.
    await alice.join(known)
    await alice.send(known, "still here")
    await alice.get("sync")
