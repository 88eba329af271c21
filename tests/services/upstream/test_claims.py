"""What a provider says of somebody, and what an account gets of it."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.services.upstream.claims import (
    MAX_GROUPS,
    AttributeMapping,
    check_entry,
    first_groups,
    first_text,
    person_of,
)

NOBODY: dict[str, Any] = {}


def _name(claims: dict[str, Any]) -> str | None:
    return person_of("1", claims, AttributeMapping()).display_name


def test_the_display_name_is_the_user_name_else_the_name_else_the_address() -> None:
    everything = {"preferred_username": "alice", "name": "Alice Liddell", "email": "alice@example.org"}
    assert _name(everything) == "alice"
    assert _name({**everything, "preferred_username": ""}) == "Alice Liddell"
    assert _name({"email": "alice@example.org"}) == "alice@example.org"
    assert _name(NOBODY) is None


def test_the_picture_is_picture_else_avatar_url() -> None:
    assert person_of("1", {"picture": "https://a", "avatar_url": "https://b"}, AttributeMapping()).avatar == "https://a"
    assert person_of("1", {"avatar_url": "https://b"}, AttributeMapping()).avatar == "https://b"


def test_groups_are_groups_else_roles() -> None:
    assert person_of("1", {"groups": ["a"], "roles": ["b"]}, AttributeMapping()).groups == ("a",)
    assert person_of("1", {"roles": ["b"]}, AttributeMapping()).groups == ("b",)
    assert person_of("1", {"groups": [], "roles": ["b"]}, AttributeMapping()).groups == (), "none is an answer"
    assert person_of("1", NOBODY, AttributeMapping()).groups is None, "saying nothing is not saying none"


def test_groups_deep_inside_and_groups_as_keys_of_an_object_are_found() -> None:
    claims = {"realm_access": {"roles": ["admin"]}, "urn:zitadel:roles": {"editor": {"1": "x"}}, "https://x.y/g": "one"}
    assert first_groups(claims, ["realm_access.roles"]) == ("admin",)
    assert first_groups(claims, ["urn:zitadel:roles"]) == ("editor",)
    assert first_groups(claims, ["https://x.y/g"]) == ("one",)


def test_groups_with_odd_characters_stay_as_they_are_and_what_is_none_is_left_out() -> None:
    odd = [
        "/staff/Zürich",
        "a b",
        'quo"te',
        "🦊",
        "CN=x,OU=y",
        "a" * 256,
        "nul\0",
        "half\ud800",
        "",
        7,
        None,
        ["x"],
        "a b",
    ]
    assert first_groups({"groups": odd}, ["groups"]) == ("/staff/Zürich", "a b", 'quo"te', "🦊", "CN=x,OU=y")


def test_of_more_groups_than_anybody_has_the_first_are_taken() -> None:
    many = [f"group {number}" for number in range(MAX_GROUPS + 5)]
    assert first_groups({"groups": many}, ["groups"]) == tuple(many[:MAX_GROUPS])


def test_a_template_has_a_value_where_all_of_its_claims_have_one() -> None:
    chain = ["{given_name} {family_name}", "{email|local}", "sub"]
    assert first_text({"given_name": "Alice", "family_name": "Liddell", "email": "al@x"}, chain) == "Alice Liddell"
    assert first_text({"given_name": "Alice", "email": "AL@x"}, chain) == "AL"
    assert first_text({"given_name": "Alice", "email": "AL@x"}, ["{email|lower}"]) == "al@x"
    assert first_text({"sub": 17}, chain) == "17"


def test_braces_in_what_the_provider_says_are_only_braces() -> None:
    assert first_text({"name": "{email}", "email": "secret@x"}, ["{name}!"]) == "{email}!"


@pytest.mark.parametrize("value", ["\0", "a\nb", "\u202eevil", " ", 1.5, True, None, {"a": 1}, "x" * 1001, "\ud800"])
def test_what_is_no_text_for_people_is_as_if_it_were_not_there(value: object) -> None:
    assert first_text({"name": value, "email": "e@x"}, ["name", "email"]) == "e@x"


@pytest.mark.parametrize("entry", ["", " ", "{", "a}", "{}", "{a|shout}", "{a}{"])
def test_entries_that_mean_nothing_are_refused_at_the_start(entry: str) -> None:
    with pytest.raises(ValueError):
        check_entry(entry)


@pytest.mark.parametrize("entry", ["name", "a.b.c", "{a} {b|local}", "https://example.org/groups"])
def test_entries_that_mean_something_are_taken(entry: str) -> None:
    check_entry(entry)


def test_only_a_clear_yes_makes_an_address_verified() -> None:
    for said, meant in ((True, True), ("true", True), ("false", False), (1, True), ("yes", False), (None, False)):
        assert person_of("1", {"email": "e@x", "email_verified": said}, AttributeMapping()).email_is_verified is meant
