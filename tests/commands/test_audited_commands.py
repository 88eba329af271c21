"""What is done on the command line is in the audit log too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from config.settings import DatabaseSettings
from homeserver.commands.errors import CommandError
from homeserver.commands.life_of_server import _record_retired
from homeserver.commands.user import add_user
from homeserver.protocol.server_keys import ServerKey
from homeserver.storage.audit import AuditFilter, AuditRows
from homeserver.storage.database import Database
from tests.cast import PASSWORD, Server
from tests.homeserver import server_settings


async def test_an_account_that_the_operator_makes(database: Database, database_dsn: str, tmp_path: Path) -> None:
    settings = replace(server_settings(tmp_path), database=DatabaseSettings(url=database_dsn))
    assert await add_user(settings, "ada", PASSWORD, admin=True) == "@ada:test"
    with pytest.raises(CommandError):
        await add_user(settings, "ada", PASSWORD, admin=False)
    (entry,) = await AuditRows().page(database, AuditFilter(), 10)
    assert (entry.who, entry.address, entry.action, entry.target) == ("cli", "", "user.create", "@ada:test")
    assert entry.details == '{"admin":true}'


async def test_a_key_that_signs_no_more(server: Server) -> None:
    await _record_retired(server.application, [ServerKey("ed25519:a_old", bytes(32), 5)])
    (entry,) = await server.application.base.audit.page(AuditFilter(action="signing_key"), 10)
    assert (entry.who, entry.action, entry.target) == ("cli", "signing_key.retire", "ed25519:a_old")
