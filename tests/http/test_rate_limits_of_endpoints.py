"""Every endpoint says how often it may be used, by a class of the table, and operators find the table in their documents."""

from __future__ import annotations

import re
from pathlib import Path

from config.settings import Settings
from homeserver.app import build_application
from homeserver.http.endpoint import Endpoint
from homeserver.protocol.signing import SigningKey
from homeserver.services.rate_limits import DEFAULT_RATES
from homeserver.storage.database import Database

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating" / "rate-limits.md"
# Files of a page, and what machines ask who look whether we are there.
UNLIMITED = {"/metrics", "/health", "/livekit/jwt/healthz"}
CALL_PAGE = "/_voicechat/call"


def endpoints() -> list[Endpoint]:
    key = SigningKey.from_seed("a_test", bytes(32))
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    return list(build_application(Settings(), database, key, public_baseurl="http://localhost:8008").edge.endpoints)


def test_all_that_changes_something_has_a_class_of_its_own() -> None:
    """Reading may share the class "default"."""
    lacking = {
        f"{each.declaration.method} {path}"
        for each in endpoints()
        for path in each.declaration.paths
        if each.declaration.method != "GET" and each.declaration.limit in ("default", "none")
    }
    assert lacking == set()


def test_only_probes_and_files_are_not_limited() -> None:
    unlimited = {
        path for each in endpoints() for path in each.declaration.paths if each.declaration.limit == "none"
    } - UNLIMITED
    assert all(path.startswith(CALL_PAGE) for path in unlimited)


def test_every_class_exists_and_is_told_to_operators() -> None:
    used = {each.declaration.limit for each in endpoints()} - {"none"}
    assert used <= DEFAULT_RATES.keys()
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (.+?) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(
        (name, f"{rate.burst:,}", _pace(rate.interval_ms)) for name, rate in DEFAULT_RATES.items()
    )


def _pace(interval_ms: float) -> str:
    return f"{1000 / interval_ms:g} a second" if interval_ms < 1000 else f"one in {interval_ms / 1000:g} s"
