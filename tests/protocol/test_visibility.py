"""History visibility: which positions of a room's history Bob may read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.visibility import (
    EVERYTHING,
    FIRST_POSITION,
    LAST_POSITION,
    ReadableHistory,
    allows_event,
    never_hides_from_members,
    readable_history,
    visibility_of,
)

WORLD, SHARED, INVITED, JOINED = "world_readable", "shared", "invited", "joined"


def readable(visibilities: dict[int, str], memberships: dict[int, str], positions: range = range(1, 11)) -> list[int]:
    """The positions Bob may read, of the first ten."""
    history = readable_history(list(visibilities.items()), list(memberships.items()))
    return [position for position in positions if history.allows(position)]


# --- One visibility all the time ----------------------------------------------------------------------------------


@pytest.mark.parametrize("memberships", [{}, {3: "join"}, {3: "join", 6: "leave"}, {2: "ban"}])
def test_world_readable_is_for_everybody(memberships: dict[int, str]) -> None:
    assert readable({0: WORLD}, memberships) == list(range(1, 11))


@pytest.mark.parametrize("visibility", [{}, {0: SHARED}, {0: "nonsense"}], ids=["default", "shared", "unknown"])
class TestShared:
    def test_a_member_reads_everything(self, visibility: dict[int, str]) -> None:
        assert readable(visibility, {5: "join"}) == list(range(1, 11))

    def test_a_former_member_reads_up_to_where_he_left(self, visibility: dict[int, str]) -> None:
        assert readable(visibility, {5: "join", 7: "leave"}) == [1, 2, 3, 4, 5, 6, 7]
        assert readable(visibility, {5: "join", 7: "ban"}) == [1, 2, 3, 4, 5, 6, 7]

    def test_who_comes_back_reads_what_happened_meanwhile(self, visibility: dict[int, str]) -> None:
        assert readable(visibility, {2: "join", 4: "leave", 8: "join", 9: "leave"}) == list(range(1, 10))

    def test_the_invited_and_strangers_read_nothing(self, visibility: dict[int, str]) -> None:
        assert readable(visibility, {}) == []
        assert readable(visibility, {3: "invite", 6: "leave"}) == []
        assert readable(visibility, {3: "knock"}) == []

    def test_who_was_invited_and_joined_reads_everything(self, visibility: dict[int, str]) -> None:
        assert readable(visibility, {3: "invite", 6: "join"}) == list(range(1, 11))


class TestInvited:
    def test_members_read_from_their_invitation_on(self) -> None:
        assert readable({0: INVITED}, {3: "invite", 6: "join"}) == [3, 4, 5, 6, 7, 8, 9, 10]
        assert readable({0: INVITED}, {6: "join"}) == [6, 7, 8, 9, 10]

    def test_until_the_invitation_is_taken_back(self) -> None:
        assert readable({0: INVITED}, {3: "invite", 6: "leave"}) == [3, 4, 5, 6]

    def test_a_gap_stays_a_gap(self) -> None:
        assert readable({0: INVITED}, {2: "join", 4: "leave", 8: "join"}) == [2, 3, 4, 8, 9, 10]

    def test_a_knock_is_no_invitation(self) -> None:
        assert readable({0: INVITED}, {3: "knock", 6: "join"}) == [6, 7, 8, 9, 10]


class TestJoined:
    def test_members_read_while_they_are_in(self) -> None:
        assert readable({0: JOINED}, {3: "invite", 5: "join", 8: "leave"}) == [5, 6, 7, 8]

    def test_a_new_name_changes_nothing(self) -> None:
        assert readable({0: JOINED}, {3: "join", 5: "join"}) == [3, 4, 5, 6, 7, 8, 9, 10]

    def test_an_invitation_alone_shows_nothing(self) -> None:
        assert readable({0: JOINED}, {3: "invite"}) == []


# --- Changes ------------------------------------------------------------------------------------------------------


def test_what_counts_is_the_visibility_when_an_event_was_sent() -> None:
    """Clients "cannot retrospectively choose to show or hide history to new users"."""
    assert readable({0: SHARED, 4: JOINED}, {7: "join"}) == [1, 2, 3, 4, 7, 8, 9, 10]
    assert readable({0: JOINED, 4: SHARED}, {7: "join"}) == [4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(WORLD, JOINED, [1, 2, 3, 4, 5]), (JOINED, WORLD, [5, 6, 7, 8, 9, 10]), (JOINED, INVITED, [])],
)
def test_a_change_of_visibility_is_shown_where_either_side_is(before: str, after: str, expected: list[int]) -> None:
    assert readable({0: before, 5: after}, {}) == expected


def test_the_own_membership_is_always_shown_where_either_side_is() -> None:
    assert readable({0: JOINED}, {5: "join", 6: "leave"}) == [5, 6]
    assert readable({0: JOINED}, {5: "invite", 6: "leave"}) == []


def test_backfilled_history_has_negative_positions() -> None:
    history = readable_history([], [(3, "join")])
    assert history.allows(-5_000)
    assert history.is_everything
    assert not readable_history([(-10, JOINED)], [(3, "join")]).allows(-5)
    assert readable_history([(-10, JOINED)], [(3, "join")]).allows(-10)


# --- The answer as a value ----------------------------------------------------------------------------------------


def test_ranges_tell_the_storage_where_to_look() -> None:
    history = readable_history([(0, JOINED)], [(3, "join"), (6, "leave"), (8, "join")])
    # What was sent before the room had a visibility is shared.
    assert history.ranges == ((FIRST_POSITION, 0), (3, 6), (8, LAST_POSITION))
    assert (history.last, history.is_everything, history.is_nothing) == (LAST_POSITION, False, False)
    assert readable_history([(0, JOINED)], [(3, "join"), (6, "leave")]).last == 6


def test_everything_and_nothing() -> None:
    assert readable_history([(1, SHARED)], [(1, "join")]) == EVERYTHING
    nothing = readable_history([], [])
    assert nothing == ReadableHistory(())
    assert nothing.is_nothing
    assert nothing.last is None
    assert not nothing.allows(1)


@pytest.mark.parametrize(
    ("content", "visibility"),
    [
        (None, SHARED),
        ({}, SHARED),
        ({"history_visibility": 5}, SHARED),
        ({"history_visibility": "everyone"}, SHARED),
        ({"history_visibility": []}, SHARED),
        *(({"history_visibility": name}, name) for name in (WORLD, SHARED, INVITED, JOINED)),
    ],
)
def test_what_is_not_understood_is_shared(content: dict[str, object] | None, visibility: str) -> None:
    assert visibility_of(content) == visibility


def test_some_rooms_hide_nothing_from_members() -> None:
    assert never_hides_from_members([])
    assert never_hides_from_members([SHARED, WORLD])
    assert not never_hides_from_members([SHARED, JOINED])
    assert not never_hides_from_members([INVITED])


# --- Against the text ---------------------------------------------------------------------------------------------

CHANGES = st.dictionaries(
    st.integers(0, 12),
    st.tuples(st.just("visibility"), st.sampled_from([WORLD, SHARED, INVITED, JOINED]))
    | st.tuples(st.just("membership"), st.sampled_from(["join", "invite", "leave", "ban", "knock"])),
    max_size=8,
)


def allowed_by_the_text(changes: dict[int, tuple[str, str]], position: int) -> bool:
    """The section "Server behaviour", for one event."""

    def last(kind: str, up_to: int, default: str) -> str:
        values = [value for place, (what, value) in sorted(changes.items()) if what == kind and place <= up_to]
        return values[-1] if values else default

    joins_later = any(place > position and change == ("membership", "join") for place, change in changes.items())
    kind = changes.get(position, ("message", ""))[0]
    before = last("visibility", position - 1, SHARED), last("membership", position - 1, "leave")
    after = last("visibility", position, SHARED), last("membership", position, "leave")
    # Changed events count with the state on both sides; for messages both sides are the same.
    assert kind != "message" or before == after
    return any(allows_event(*side, joins_later=joins_later) for side in (before, after))


@given(CHANGES)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_ranges_agree_with_the_text_event_by_event(changes: dict[int, tuple[str, str]]) -> None:
    ordered = sorted(changes.items())
    history = readable_history(
        [(position, value) for position, (kind, value) in ordered if kind == "visibility"],
        [(position, value) for position, (kind, value) in ordered if kind == "membership"],
    )
    for position in range(-2, 15):
        assert history.allows(position) is allowed_by_the_text(changes, position), position
    assert list(history.ranges) == sorted(history.ranges)
    assert all(start <= end for start, end in history.ranges)


@pytest.mark.parametrize(
    ("visibility", "membership", "joins_later", "expected"),
    [
        (WORLD, None, False, True),
        (JOINED, "join", False, True),
        (SHARED, "leave", True, True),
        (SHARED, "leave", False, False),
        (INVITED, "invite", False, True),
        (JOINED, "invite", True, False),
        (SHARED, "invite", False, False),
        (INVITED, "leave", True, False),
        (JOINED, "ban", True, False),
    ],
)
def test_the_five_rules(visibility: str, membership: str | None, joins_later: bool, expected: bool) -> None:
    assert allows_event(visibility, membership, joins_later=joins_later) is expected
