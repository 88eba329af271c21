"""The compiler of roles: what it must never do, whatever a community looks like."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.roles.compile import compile_space
from homeserver.protocol.roles.effective import in_channel, overrides_for
from homeserver.protocol.roles.levels import OWNER
from homeserver.protocol.roles.permissions import LEVELLED, Permission
from homeserver.protocol.roles.power_levels import OWNERS_EVENTS
from homeserver.protocol.roles.role_state import EVERYONE, Override, Role, RoleSet
from homeserver.protocol.roles.rooms import HISTORY, JOIN_RULES, MEMBER, POWER_LEVELS, TAGS, RoomNow, Space
from homeserver.protocol.roles.same import same
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.roles.communities import (
    ALICE,
    BITS,
    PEOPLE,
    ROOMS,
    SPACE,
    after,
    allowed,
    chosen,
    role_sets,
    spaces,
)

BOB, CAROL = PEOPLE[0], PEOPLE[1]


@settings(max_examples=25, deadline=None)
@given(role_sets(), spaces())
def test_nobody_may_more_than_his_roles_give_him(roles: RoleSet, space: Space) -> None:
    done = after(space, compile_space(roles, space, {}).changes)
    for room in done.rooms:
        overrides = overrides_for(roles, room.room_id, room.above)
        for person in set(PEOPLE) & {user_id for user_id, where in room.members.items() if where == "join"}:
            held = roles.roles_of(person) if person in space.people else frozenset[str]()
            assert allowed(room, person) <= in_channel(roles, held, overrides), (room.room_id, person)


@settings(max_examples=25, deadline=None)
@given(role_sets(), spaces())
def test_what_is_done_is_not_done_again(roles: RoleSet, space: Space) -> None:
    done = after(space, compile_space(roles, space, {}).changes)
    again = compile_space(roles, done, {})
    assert again.changes == ()
    assert again.conflicts == ()


@settings(max_examples=25, deadline=None)
@given(role_sets(), spaces())
def test_no_place_of_a_room_is_written_twice(roles: RoleSet, space: Space) -> None:
    changes = compile_space(roles, space, {}).changes
    assert len({(change.room_id, *change.key) for change in changes}) == len(changes)
    assert all(not same(change.event_type, change.before, change.after) for change in changes)


@settings(max_examples=25, deadline=None)
@given(role_sets(), spaces())
def test_owners_stay_owners_and_in_the_room(roles: RoleSet, space: Space) -> None:
    plan = compile_space(roles, space, {})
    done = after(space, plan.changes)
    assert all(room.level_of(ALICE) >= OWNER for room in done.rooms)
    assert all(room.level_of(person) < OWNER for room in done.rooms for person in PEOPLE)
    assert not any(change.key == (MEMBER, ALICE) for change in plan.changes)


@settings(max_examples=25, deadline=None)
@given(role_sets(), spaces())
def test_what_roles_do_not_rule_stays(roles: RoleSet, space: Space) -> None:
    done = after(space, compile_space(roles, space, {}).changes)
    for old, new in zip(space.rooms, done.rooms, strict=True):
        thing = "com.example.thing"
        assert new.content(POWER_LEVELS)["events"].get(thing) == old.content(POWER_LEVELS)["events"].get(thing)
        assert all(new.content(POWER_LEVELS)["events"][each] >= OWNER for each in OWNERS_EVENTS)


@settings(max_examples=25, deadline=None)
@given(role_sets(), spaces())
def test_undone_is_as_it_was(roles: RoleSet, space: Space) -> None:
    changes = compile_space(roles, space, {}).changes
    back = after(after(space, changes), [change.undone() for change in reversed(changes)])
    for old, new in zip(space.rooms, back.rooms, strict=True):
        for event_type in (POWER_LEVELS, JOIN_RULES, HISTORY, TAGS):
            assert same(event_type, old.content(event_type), new.content(event_type))
        where = {user_id: membership for user_id, membership in new.members.items() if membership != "knock"}
        assert where == {user_id: membership for user_id, membership in old.members.items() if membership != "knock"}


@settings(max_examples=25, deadline=None)
@given(role_sets(), spaces(), st.sampled_from(["ban", "events_default", "users"]))
def test_hands_are_seen_and_nothing_is_written_over_them(roles: RoleSet, space: Space, where: str) -> None:
    done = after(space, compile_space(roles, space, {}).changes)
    room = done.rooms[1]
    # Power levels that roles did not have to write were not theirs.
    edited = {**room.content(POWER_LEVELS)}
    edited[where] = {**edited["users"], BOB: 99} if where == "users" else edited[where] - 1
    by_hand = replace(room, state={**room.state, POWER_LEVELS: edited})
    applied = {**done.applied, room.room_id: {(POWER_LEVELS, ""): room.content(POWER_LEVELS)}}
    now = replace(done, rooms=(done.rooms[0], by_hand, done.rooms[2]), applied=applied)
    plan = compile_space(roles, now, {})
    assert [(each.room_id, each.event_type) for each in plan.conflicts] == [(room.room_id, POWER_LEVELS)]
    assert plan.changes == ()
    given_up = compile_space(roles, now, {}, overwrite={room.room_id})
    assert given_up.conflicts == ()
    assert [change.key for change in given_up.changes] == [(POWER_LEVELS, "")]


@settings(max_examples=25, deadline=None)
@given(st.lists(BITS.map(lambda bits: chosen(bits, sorted(LEVELLED))), max_size=5), spaces())
def test_where_higher_roles_may_all_that_lower_ones_may_nothing_is_lost(
    steps: list[frozenset[Permission]], space: Space
) -> None:
    seeing = frozenset({Permission.SEE, Permission.READ_HISTORY})
    grown = [seeing.union(*steps[: place + 1]) for place in range(len(steps))]
    roles = tuple(Role(f"role{place}", "Role", grown[place]) for place in reversed(range(len(steps))))
    members = {person: frozenset({role.role_id}) for person, role in zip(PEOPLE, roles, strict=False)}
    chain = RoleSet(roles, Role(EVERYONE, "Member", seeing), {}, members)
    rooms = tuple(replace(room, version=ROOM_VERSIONS["11"], creators=frozenset({ALICE})) for room in space.rooms)
    space = replace(space, people=frozenset(PEOPLE), rooms=rooms)
    plan = compile_space(chain, space, {})
    assert plan.losses == ()
    for room in after(space, plan.changes).rooms:
        for person, role in zip(PEOPLE, roles, strict=False):
            # Reading a key of events that needs two permissions tells of neither alone.
            assert allowed(room, person) & _SINGLE == role.permissions & _SINGLE


_SINGLE = frozenset(
    {Permission.SEND, Permission.MANAGE_CHANNEL, Permission.BAN, Permission.KICK, Permission.INVITE, Permission.MOVE}
)


def room(room_id: str = ROOMS[0], **members: str) -> RoomNow:
    state = {POWER_LEVELS: {"users": {ALICE: 100}}, JOIN_RULES: {"join_rule": "public"}}
    return RoomNow(room_id, ROOM_VERSIONS["11"], state, {ALICE: "join", **members}, is_root=room_id == SPACE)


def community(roles: tuple[Role, ...], *, said: dict[str, Override], **held: str) -> RoleSet:
    members = {f"@{name}:test": frozenset(roles.split()) for name, roles in held.items()}
    return RoleSet(roles, overrides={ROOMS[0]: said}, members=members)


def test_who_is_muted_in_a_channel_goes_below_zero_and_still_listens() -> None:
    muted = Role("muted", "Muted")
    deny = Override(deny=frozenset({Permission.SEND, Permission.SPEAK, Permission.ATTACH, Permission.SHARE_SCREEN}))
    roles = community((muted,), said={"muted": deny}, person0="muted")
    space = Space(SPACE, (room(),), frozenset({ALICE, BOB, CAROL}))
    plan = compile_space(roles, space, {})
    done = after(space, plan.changes).rooms[0]
    assert done.level_of(BOB) < 0 == done.level_of(CAROL)
    assert Permission.LISTEN in allowed(done, BOB)
    assert Permission.SEND in allowed(done, CAROL)
    assert plan.losses == ()


def test_a_closed_channel_invites_those_who_see_it_and_puts_the_others_out() -> None:
    crew = Role("crew", "Crew", frozenset({Permission.SEND}), "#1f8b4c", "⚓")
    said = {EVERYONE: Override(deny=frozenset({Permission.SEE})), "crew": Override(allow=frozenset({Permission.SEE}))}
    roles = community((crew,), said=said, person0="crew")
    now = replace(room(), members={ALICE: "join", CAROL: "join"})
    space = Space(SPACE, (now,), frozenset({ALICE, BOB, CAROL}))
    changes = {change.key: change.after for change in compile_space(roles, space, {}).changes}
    assert changes[(JOIN_RULES, "")] == {"join_rule": "invite"}
    assert changes[(MEMBER, BOB)] == {"membership": "invite"}
    assert changes[(MEMBER, CAROL)] == {"membership": "leave"}
    assert changes[(TAGS, "")] == {
        "100": {"name": "Owner"},
        "10": {"name": "Crew", "color": "#1f8b4c", "icon": {"key": "⚓"}},
        "0": {"name": "Member"},
    }


def test_who_may_not_see_an_open_channel_is_banned_and_comes_back_by_roles_alone() -> None:
    out = Role("out", "Out")
    roles = community((out,), said={"out": Override(deny=frozenset({Permission.SEE}))}, person0="out", person1="out")
    now = replace(room(), members={ALICE: "join", BOB: "join", CAROL: "ban"})
    space = Space(SPACE, (now,), frozenset({ALICE, BOB, CAROL}))
    done = after(space, compile_space(roles, space, {}).changes)
    assert done.rooms[0].bans_by_roles == {BOB}
    back = compile_space(replace(roles, members={}), done, {})
    assert [change.state_key for change in back.changes if change.event_type == MEMBER] == [BOB]


def test_who_left_the_space_loses_its_closed_channels_and_his_level() -> None:
    crew = Role("crew", "Crew", frozenset({Permission.KICK}))
    said = {EVERYONE: Override(deny=frozenset({Permission.SEE})), "crew": Override(allow=frozenset({Permission.SEE}))}
    roles = community((crew,), said=said, person0="crew")
    now = replace(room(), members={ALICE: "join", BOB: "join"})
    done = after(
        Space(SPACE, (now,), frozenset({ALICE})),
        compile_space(roles, Space(SPACE, (now,), frozenset({ALICE})), {}).changes,
    )
    assert BOB not in done.rooms[0].members
    assert BOB not in done.rooms[0].content(POWER_LEVELS)["users"]


def test_a_higher_role_that_may_less_is_reported() -> None:
    roles = community(
        (Role("mod", "Mod", frozenset({Permission.KICK})), Role("dj", "DJ", frozenset({Permission.PRIORITY_SPEAKER}))),
        said={}, person0="dj",
    )  # fmt: skip
    plan = compile_space(roles, Space(SPACE, (room(),), frozenset({ALICE, BOB})), {})
    assert [each.as_json() for each in plan.losses] == [
        {"room_id": ROOMS[0], "role": "dj", "permission": "priority_speaker"}
    ]


def test_a_channel_without_a_word_of_its_own_has_its_categorys() -> None:
    crew = Role("crew", "Crew")
    roles = RoleSet((crew,), overrides={"!category:test": {EVERYONE: Override(deny=frozenset({Permission.SEND}))}})
    inside = replace(room(), above=("!category:test",))
    plan = compile_space(roles, Space(SPACE, (inside,), frozenset({ALICE, BOB})), {})
    assert Permission.SEND not in allowed(after(Space(SPACE, (inside,), frozenset()), plan.changes).rooms[0], BOB)
