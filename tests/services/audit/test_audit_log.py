"""The audit log remembers who did what: within bounds, without secrets, for as long as it is told to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from homeserver.services.audit.audit_log import CLI, AuditLog
from homeserver.services.audit.details import MAX_BYTES, details_json, shortened
from homeserver.services.requester import Requester
from homeserver.storage.audit import AuditFilter, AuditRows
from homeserver.storage.database import Database
from tests.clock import FakeClock

DAY_MS = 24 * 60 * 60_000
ADA = Requester("@ada:test", "PHONE", 1, 1, is_guest=False, is_admin=True, remote_address="192.0.2.7")


@pytest.fixture
def audit(database: Database, clock: FakeClock) -> AuditLog:
    return AuditLog(database, AuditRows(), clock, keep_ms=30 * DAY_MS)


async def actions(audit: AuditLog, **wanted: Any) -> list[str]:
    return [entry.action for entry in await audit.page(AuditFilter(**wanted), 10)]


async def test_what_ada_did_is_found_by_whom_what_and_when(audit: AuditLog, clock: FakeClock) -> None:
    await audit.record(audit.queries, ADA, "room.block", "!pub:test", {"block": True})
    clock.advance(hours=1)
    await audit.record(audit.queries, ADA, "user.lock", "@mallory:test")
    await audit.record_as(audit.queries, CLI, "user.create", "@bob:test")
    await audit.record_as(audit.queries, CLI, "username.check", "@bob:test")
    entry = (await audit.page(AuditFilter(action="room.block"), 10))[0]
    assert (entry.who, entry.address, entry.target) == ("@ada:test", "192.0.2.7", "!pub:test")
    assert json.loads(entry.details) == {"block": True}
    assert await actions(audit) == ["username.check", "user.create", "user.lock", "room.block"]
    assert await actions(audit, who="@ada:test") == ["user.lock", "room.block"]
    assert await actions(audit, target="@bob:test") == ["username.check", "user.create"]
    assert await actions(audit, action="user") == ["user.create", "user.lock"]
    assert await actions(audit, action="use") == []
    assert await actions(audit, until_ms=clock.now_ms()) == ["room.block"]
    assert await actions(audit, since_ms=clock.now_ms(), who="@ada:test") == ["user.lock"]


async def test_what_was_rolled_back_was_not_done(audit: AuditLog, database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await audit.record(tx, ADA, "room.delete", "!pub:test")
            raise ZeroDivisionError
    assert await actions(audit) == []


async def test_entries_are_forgotten_in_time(audit: AuditLog, clock: FakeClock) -> None:
    await audit.record(audit.queries, ADA, "room.block", "!pub:test")
    clock.advance(days=29)
    await audit.record(audit.queries, ADA, "user.lock", "@mallory:test")
    await audit.tidy()
    assert await actions(audit) == ["user.lock", "room.block"]
    clock.advance(days=2)
    await audit.tidy()
    assert await actions(audit) == ["user.lock"]


@pytest.mark.parametrize(
    "details",
    [
        {"text": "x" * 100_000},
        {f"key {number}": "x" * 1000 for number in range(100)},
        {"nested": {"a": {"b": {"c": {"d": {"e": {"f": "x" * 5000}}}}}}},
        {"items": ["y" * 250] * 1000},
        {"number": 10**400, "zero": "\0", "half": "\ud800", "other": object()},
    ],
)
def test_details_stay_small(details: dict[str, Any]) -> None:
    text = details_json(details)
    assert len(text.encode()) <= MAX_BYTES
    assert isinstance(json.loads(text), dict)
    assert "\0" not in text


def test_secrets_are_not_written_down() -> None:
    text = details_json({"password": "tea", "changes": [{"access_token": "coffee"}], "token": None})
    assert json.loads(text) == {"password": "…", "changes": [{"access_token": "…"}], "token": None}
    assert shortened("abcdefghijklmnop") == "abcd…"
    assert shortened("tea") == "t…"


async def test_anything_can_be_the_target(audit: AuditLog) -> None:
    await audit.record(audit.queries, ADA, "room.block", "!" + "\0\ud800" + "ä" * 5000)
    entry = (await audit.page(AuditFilter(), 1))[0]
    assert len(entry.target) == 512


async def test_who_speaks_for_somebody_is_named(audit: AuditLog) -> None:
    bridge = Requester(
        "@bot:test", None, 0, 0, is_guest=False, is_admin=True, appservice_id="irc", remote_address="192.0.2.9"
    )
    await audit.record(audit.queries, bridge, "user.lock", "@mallory:test")
    puppet = Requester("@alice:test", None, 0, 0, is_guest=False, is_admin=False, impersonator="@ada:test")
    await audit.record(audit.queries, puppet, "login_token.create", "@alice:test")
    by_ada, by_bridge = await audit.page(AuditFilter(), 10)
    assert (by_bridge.who, by_bridge.appservice_id, by_bridge.address) == ("@bot:test", "irc", "192.0.2.9")
    assert (by_ada.who, by_ada.appservice_id) == ("@ada:test", None)
