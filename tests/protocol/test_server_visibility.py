"""Which part of a room's history beta.example may see, whose users are Bob and Carol."""

from __future__ import annotations

from homeserver.protocol.server_visibility import memberships_of_server, server_history

WORLD, SHARED, INVITED, JOINED = "world_readable", "shared", "invited", "joined"
BOB, CAROL = "@bob:beta.example", "@carol:beta.example"
LAST = 10


def readable(visibilities: dict[int, str], *members: tuple[int, str, str], there: bool = True) -> list[int]:
    history = server_history(list(visibilities.items()), members, in_room_after=LAST if there else None)
    return [position for position in range(1, LAST + 1) if history.readable.allows(position)]


def test_a_server_in_the_room_sees_what_was_open_to_members() -> None:
    for visibility in ({}, {0: SHARED}, {0: WORLD}, {0: "nonsense"}):
        assert readable(visibility) == list(range(1, 11))
        assert readable(visibility, (5, BOB, "join"), (7, BOB, "leave")) == list(range(1, 11))


def test_where_only_members_read_it_sees_when_anybody_was_there() -> None:
    stays = ((2, BOB, "join"), (3, CAROL, "join"), (4, BOB, "leave"), (6, CAROL, "ban"), (8, BOB, "join"))
    assert readable({0: JOINED}, *stays) == [2, 3, 4, 5, 6, 8, 9, 10]


def test_an_invitation_opens_rooms_that_say_so() -> None:
    invited = ((3, BOB, "invite"), (5, BOB, "leave"), (7, CAROL, "invite"), (9, CAROL, "join"))
    assert readable({0: INVITED}, *invited) == [3, 4, 5, 7, 8, 9, 10]
    assert readable({0: JOINED}, *invited) == [9, 10]


def test_a_change_of_the_visibility_belongs_to_both_sides() -> None:
    assert readable({0: SHARED, 4: JOINED, 8: SHARED}) == [1, 2, 3, 4, 8, 9, 10]


def test_a_server_that_left_has_what_it_got() -> None:
    stay = ((3, BOB, "join"), (6, BOB, "leave"))
    for visibility in ({0: WORLD}, {0: SHARED}, {0: JOINED}):
        assert readable(visibility, *stay, there=False) == [3, 4, 5, 6]
        assert readable(visibility, (3, BOB, "invite"), there=False) == []


def test_users_of_a_server_count_as_one() -> None:
    changes = ((1, BOB, "invite"), (2, CAROL, "knock"), (3, CAROL, "join"), (4, BOB, "join"), (5, CAROL, "leave"))
    assert memberships_of_server(changes) == [(1, "invite"), (3, "join")]
    assert memberships_of_server([*changes, (6, BOB, "leave")])[-1] == (6, "leave")
    assert memberships_of_server([(1, BOB, "leave"), (2, BOB, "ban")]) == [(1, "leave")]
