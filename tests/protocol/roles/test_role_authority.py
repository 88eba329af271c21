"""Mallory manages roles, and would like to have more than that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings

from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.protocol.roles.authority import actor, check_assignment, check_definition, check_override
from homeserver.protocol.roles.effective import in_channel, in_space
from homeserver.protocol.roles.permissions import ALL, NONE, Permission
from homeserver.protocol.roles.role_state import EVERYONE, Override, Role, RoleSet
from tests.protocol.roles.communities import ROOMS, role_sets

ALICE, BOB, MALLORY = "@alice:test", "@bob:test", "@mallory:test"
BOSS = Role("boss", "Boss", ALL)
KEEPER = Role(
    "keeper", "Keeper", frozenset({Permission.MANAGE_ROLES, Permission.SEND, Permission.SEE, Permission.KICK})
)
CREW = Role("crew", "Crew", frozenset({Permission.SEND}))
ROLES = RoleSet((BOSS, KEEPER, CREW), members={MALLORY: frozenset({"keeper"}), BOB: frozenset({"boss"})})
WHO = actor(ROLES, MALLORY, is_owner=False)


def test_mallory_gives_and_takes_what_is_below_him() -> None:
    check_assignment(WHO, ROLES, "@carol:test", {"crew"}, is_owner=False)
    check_definition(WHO, ROLES, replace(ROLES, roles=(BOSS, KEEPER, replace(CREW, name="Sailors"))))
    check_override(WHO, ROLES, {}, {"crew": Override(allow=frozenset({Permission.KICK}))})


@pytest.mark.parametrize("role", ["boss", "keeper"])
@pytest.mark.parametrize("user_id", [MALLORY, "@carol:test"])
def test_mallory_gives_nobody_what_is_not_below_him(role: str, user_id: str) -> None:
    with pytest.raises(Forbidden):
        check_assignment(
            WHO,
            ROLES,
            user_id,
            {"keeper", role} if user_id == MALLORY and role == "boss" else {role, "crew"},
            is_owner=False,
        )


def test_mallory_does_not_touch_those_above_him_nor_owners() -> None:
    with pytest.raises(Forbidden):
        check_assignment(WHO, ROLES, BOB, set(), is_owner=False)
    with pytest.raises(Forbidden):
        check_assignment(WHO, ROLES, ALICE, {"crew"}, is_owner=True)


def test_mallory_may_lay_his_own_role_down() -> None:
    check_assignment(WHO, ROLES, MALLORY, set(), is_owner=False)


def test_mallory_does_not_get_more_by_a_word_about_a_channel() -> None:
    ban = frozenset({Permission.BAN})
    for said in (
        {EVERYONE: Override(allow=ban)},
        {"crew": Override(allow=ban)},
        {"keeper": Override(allow=frozenset())},
    ):
        before = {"keeper": Override(deny=frozenset({Permission.SEND}))}
        with pytest.raises(Forbidden):
            check_override(WHO, ROLES, before, said)
    with pytest.raises(Forbidden):
        check_override(WHO, ROLES, {"crew": Override(deny=ban)}, {})
    with pytest.raises(InvalidParam):
        check_override(WHO, ROLES, {}, {"nothing": Override(allow=frozenset({Permission.KICK}))})


def test_mallory_does_not_get_more_by_another_order_or_another_definition() -> None:
    stronger = replace(KEEPER, permissions=ALL)
    for roles in (
        (KEEPER, BOSS, CREW),
        (BOSS, stronger, CREW),
        (BOSS, CREW, KEEPER),
        (KEEPER, CREW),
        (BOSS, KEEPER, replace(CREW, permissions=frozenset({Permission.BAN}))),
        (BOSS, Role("new", "New"), KEEPER, CREW),
    ):
        with pytest.raises(Forbidden):
            check_definition(WHO, ROLES, replace(ROLES, roles=roles))
    everyone = replace(ROLES.everyone, permissions=ROLES.everyone.permissions | {Permission.BAN})
    with pytest.raises(Forbidden):
        check_definition(WHO, ROLES, replace(ROLES, everyone=everyone))


def test_mallory_opens_no_channel_that_he_does_not_see_himself() -> None:
    see = frozenset({Permission.SEE})
    secret = {EVERYONE: Override(deny=see), "boss": Override(allow=see)}
    for said in ({**secret, "crew": Override(allow=see)}, {"boss": Override(allow=see)}, {}):
        with pytest.raises(Forbidden):
            check_override(WHO, ROLES, secret, said)


def test_who_is_muted_does_not_lay_that_down_nor_delete_it() -> None:
    muted = Role("muted", "Muted")
    said = {ROOMS[0]: {"muted": Override(deny=frozenset({Permission.SEND}))}}
    held = frozenset({"keeper", "muted"})
    roles = RoleSet((BOSS, KEEPER, CREW, muted), overrides=said, members={MALLORY: held})
    who = actor(roles, MALLORY, is_owner=False)
    with pytest.raises(Forbidden):
        check_assignment(who, roles, MALLORY, {"keeper"}, is_owner=False)
    with pytest.raises(Forbidden):
        check_definition(who, roles, replace(roles, roles=(BOSS, KEEPER, CREW)))
    check_assignment(who, roles, MALLORY, {"muted"}, is_owner=False)


def test_who_does_not_manage_roles_changes_none() -> None:
    carol = actor(ROLES, "@carol:test", is_owner=False)
    with pytest.raises(Forbidden):
        check_definition(carol, ROLES, ROLES)
    with pytest.raises(Forbidden):
        check_override(carol, ROLES, {}, {})
    with pytest.raises(Forbidden):
        check_assignment(carol, ROLES, "@carol:test", {"crew"}, is_owner=False)


def test_an_owner_may_everything() -> None:
    owner = actor(ROLES, ALICE, is_owner=True)
    check_definition(owner, ROLES, RoleSet())
    check_assignment(owner, ROLES, BOB, {"boss", "crew"}, is_owner=False)
    check_override(owner, ROLES, {}, {"boss": Override(deny=frozenset({Permission.SEND}))})


@settings(max_examples=60, deadline=None)
@given(role_sets(), role_sets())
def test_whatever_is_allowed_gives_its_author_nothing_new(before: RoleSet, wanted: RoleSet) -> None:
    """Definitions, then a word about a channel, then roles for himself: by whoever holds the lowest role."""
    assume(before.roles)
    mine = frozenset({before.roles[-1].role_id})
    before = replace(before, members={MALLORY: mine})
    who = actor(before, MALLORY, is_owner=False)
    may = in_space(before, mine)
    now = before
    for step in (
        replace(before, roles=wanted.roles, everyone=wanted.everyone),
        replace(before, roles=(*before.roles, *wanted.roles[len(before.roles) :]), everyone=wanted.everyone),
        replace(before, overrides=wanted.overrides),
        replace(before, members={MALLORY: frozenset(role.role_id for role in before.roles)}),
    ):
        try:
            check_definition(who, now, step)
            for room in ROOMS:
                check_override(who, step, now.overrides.get(room, {}), step.overrides.get(room, {}))
            check_assignment(who, step, MALLORY, step.roles_of(MALLORY), is_owner=False)
        except (Forbidden, InvalidParam):
            continue
        now = step
        held = now.roles_of(MALLORY)
        assert in_space(now, held) <= may
        for room in ROOMS:
            # A channel that said nothing was as the space is.
            here = in_channel(before, mine, before.overrides.get(room, {}))
            assert in_channel(now, held, now.overrides.get(room, {})) <= here | (
                NONE if room in before.overrides else may
            )
