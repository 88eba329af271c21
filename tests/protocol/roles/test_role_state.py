"""Roles as state: what is read, and what nobody can write."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.roles.role_state import (
    MAX_ROLES,
    Role,
    read_member_roles,
    read_overrides,
    read_roles,
    role_set,
    roles_content,
)

MODS: dict[str, Any] = {"id": "mods", "name": "Mods", "permissions": ["kick"], "color": "#1f8b4c"}


def test_roles_are_read_as_they_were_written() -> None:
    content = {"roles": [MODS, {"id": "crew", "name": "Crew", "permissions": []}]}
    roles, everyone = read_roles(content)
    assert [role.role_id for role in roles] == ["mods", "crew"]
    assert read_roles(roles_content(roles, everyone)) == (roles, everyone)


def test_an_order_that_goes_in_a_circle_is_refused() -> None:
    crew = {"id": "crew", "name": "Crew"}
    with pytest.raises(InvalidParam, match="circle"):
        read_roles({"roles": [MODS, crew, MODS]})


@pytest.mark.parametrize(
    "role",
    [
        None, "mods", {}, {"id": "mods"}, {"id": "Mods", "name": "x"}, {"id": "../mods", "name": "x"},
        {"id": "everyone", "name": "x"},
        {"id": 3, "name": "x"}, {"id": "x" * 65, "name": "x"}, {"id": "mods", "name": ""}, {"id": "mods", "name": "x" * 65},
        {**MODS, "permissions": ["fly"]}, {**MODS, "permissions": "kick"}, {**MODS, "permissions": [["kick"]]},
        {**MODS, "permissions": [{}]}, {**MODS, "color": "red"}, {**MODS, "color": "#1f8b4c;background:url(x)"},
        {**MODS, "icon": ""},
    ],
)  # fmt: skip
def test_what_is_no_role_is_refused(role: object) -> None:
    with pytest.raises(InvalidParam):
        read_roles({"roles": [role]})


def test_there_are_not_too_many() -> None:
    with pytest.raises(InvalidParam):
        read_roles({"roles": [{"id": f"r{number}", "name": "x"} for number in range(MAX_ROLES + 1)]})


def test_not_everybody_manages_roles() -> None:
    with pytest.raises(InvalidParam):
        read_roles({"everyone": {"permissions": ["see", "manage_roles"]}})


@pytest.mark.parametrize(
    "said",
    [
        {"mods": {"allow": ["manage_roles"]}}, {"mods": {"allow": ["kick"], "deny": ["kick"]}}, {"mods": ["kick"]},
        {"mods": {"allow": None}}, {"@mallory:test": {"allow": ["kick"]}}, [],
    ],
)  # fmt: skip
def test_a_channel_gives_only_what_channels_have(said: object) -> None:
    with pytest.raises(InvalidParam):
        read_overrides({"roles": said})


@pytest.mark.parametrize("held", ["mods", {"mods": True}, [1], [["mods"]], [f"role{number}" for number in range(21)]])
def test_what_is_no_list_of_roles_is_refused(held: object) -> None:
    with pytest.raises(InvalidParam):
        read_member_roles({"roles": held})


def test_unreadable_words_about_channels_and_people_say_nothing() -> None:
    roles = role_set({"roles": [MODS]}, {"!a:test": {"roles": 7}, "no room": {"roles": {"mods": {"allow": ["ban"]}}}}, {
        "bob:test": {"roles": ["mods", "gone"]}, "carol:test": {"roles": "mods"}, "nobody": {"roles": ["mods"]},
    })  # fmt: skip
    assert roles.overrides == {}
    assert set(roles.members) == {"@bob:test"}
    assert roles.roles_of("@bob:test") == {"mods"}
    assert roles.role("mods") == Role("mods", "Mods", frozenset({"kick"}), "#1f8b4c")  # type: ignore[arg-type]
