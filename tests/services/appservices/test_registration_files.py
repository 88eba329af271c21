"""Registration files: what is accepted, and what the administrator is told about the rest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from homeserver.composition.appservice_files import load_appservices
from homeserver.services.appservices.patterns import UnsafePattern, compile_pattern, matches
from homeserver.services.appservices.registration_file import InvalidRegistration, parse_registration
from tests.bridge import registration, written


def test_a_usual_file_is_understood() -> None:
    bridge = parse_registration(registration("http://localhost:29318/"), "test")
    assert (bridge.url, bridge.sender) == ("http://localhost:29318", "@bridgebot:test")
    assert bridge.owns_user("@_net_bob:test")
    assert bridge.covers_alias("#_net_lobby:test")
    assert not bridge.covers_user("@alice:test")
    assert not bridge.receive_ephemeral


def test_the_old_names_of_keys_that_bridges_write_count_too() -> None:
    keys = {"de.sorunome.msc2409.push_ephemeral": True, "org.matrix.msc3202": True}
    bridge = parse_registration(registration(None, **keys), "test")
    assert (bridge.url, bridge.receive_ephemeral, bridge.encrypts) == (None, True, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "localhost:1234"}, "url must be null, or begin with http"),
        ({"as_token": ""}, "as_token must be a text"),
        ({"id": 7}, "id must be a text"),
        ({"rate_limited": "no"}, "rate_limited must be true or false"),
        ({"sender_localpart": "a:b"}, "sender_localpart a:b cannot be the name of a user"),
        ({"namespaces": {"users": [{"exclusive": True}]}}, "namespaces.users, entry 1 must have a regex"),
        ({"namespaces": {"rooms": [{"regex": "(a+)+"}]}}, "namespaces.rooms, entry 1: (a+)+ cannot be used"),
        ({"namespaces": []}, None),
        ({"protocols": "irc"}, "protocols must be a list"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], said: str | None) -> None:
    document = registration(None) | change
    if said is None:
        assert parse_registration(document, "test").users == ()
        return
    with pytest.raises(InvalidRegistration) as refused:
        parse_registration(document, "test")
    assert said in str(refused.value)


def test_every_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    files = written(tmp_path, registration(None), registration(None, id="other"), {"id": "third"})
    with pytest.raises(ConfigError) as refused:
        load_appservices([*files, tmp_path / "missing.yaml"], "test")
    lines = str(refused.value).splitlines()
    assert f"{files[2]}: url, as_token, hs_token, sender_localpart must be given" in lines
    assert "appservice_files: bridge and other have the same as_token; each needs one of its own" in lines
    assert any("missing.yaml" in line for line in lines)


@pytest.mark.parametrize("text", ["(a+)+", "(a|bc)*", "(a?){30}", "a?" * 30, ".*.*.*.*", r"(.)\1", "[", "(" * 600])
def test_what_could_run_away_is_refused(text: str) -> None:
    with pytest.raises(UnsafePattern):
        compile_pattern(text)


@pytest.mark.parametrize("text", [r"@_irc_.*:example\.org", r"^@telegram_(\d+):x$", "(?!@admin).*", "@(foo|bar)_.*"])
def test_what_bridges_write_is_taken(text: str) -> None:
    compile_pattern(text)


def test_the_worst_that_is_taken_ends_soon() -> None:
    pattern = compile_pattern("(?:a|b)*.*.*x")
    started = time.process_time()
    assert not matches(pattern, "a" * 255)
    assert time.process_time() - started < 2
