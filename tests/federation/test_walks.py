"""Walks over prev_events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from homeserver.federation.serving.walks import Node, Walk, breadth_first, newest_first


def graph(*edges: str, depths: dict[str, int] | None = None, unsent: str = "") -> dict[str, Node]:
    """`"c:ab"`: c is built on a and b. Later ones are deeper."""
    depths = depths or {}
    return {
        edge[0]: Node(edge[0], depths.get(edge[0], depth), depth, tuple(edge[2:]), edge[0] not in unsent)
        for depth, edge in enumerate(edges)
    }


def ids(walk: Walk) -> str:
    return "".join(node.event_id for node in walk.found)


LINE = graph("a:", "b:a", "c:b", "d:c", "e:d")
# b and c are both built on a; d joins them.
DIAMOND = graph("a:", "b:a", "c:a", "d:bc", "e:d")


def test_backfill_goes_down_from_the_given_events() -> None:
    assert ids(newest_first("d", LINE, 10)) == "dcba"
    assert ids(newest_first("d", LINE, 2)) == "dc"
    assert ids(newest_first("bb", LINE, 10)) == "ba"
    assert ids(newest_first("cb", DIAMOND, 10)) == "cba"
    assert ids(newest_first("e", DIAMOND, 4)) == "edcb"


def test_backfill_leaves_no_hole_in_a_long_and_a_short_branch() -> None:
    fork = graph("a:", "b:a", "c:b", "d:c", "x:a", "e:dx", depths={"x": 1})
    assert ids(newest_first("e", fork, 3)) == "edc"


def test_what_is_not_known_is_asked_for() -> None:
    walk = newest_first("d", graph("c:z", "d:cy"), 10)
    assert (ids(walk), walk.lacking) == ("dc", ["y", "z"])
    assert newest_first("q", LINE, 10) == Walk([], ["q"])


def test_rejected_events_are_stepped_over() -> None:
    nodes = graph("a:", "b:a", "c:b", "d:c", unsent="c")
    assert ids(newest_first("d", nodes, 10)) == "dba"
    assert ids(breadth_first("d", "", nodes, min_depth=0, limit=10)) == "ba"


def test_missing_events_are_between_the_earliest_and_the_latest() -> None:
    assert ids(breadth_first("e", "b", LINE, min_depth=0, limit=10)) == "dc"
    assert ids(breadth_first("e", "", LINE, min_depth=0, limit=2)) == "dc"
    assert ids(breadth_first("e", "", LINE, min_depth=2, limit=10)) == "dc"
    assert ids(breadth_first("e", "a", DIAMOND, min_depth=0, limit=10)) == "dbc"
    assert ids(breadth_first("ed", "", LINE, min_depth=0, limit=10)) == "cba"
    assert ids(breadth_first("e", "d", LINE, min_depth=0, limit=10)) == ""
    assert ids(breadth_first("e", "", LINE, min_depth=0, limit=0)) == ""


def test_missing_events_that_are_not_known_either() -> None:
    assert breadth_first("qe", "", LINE, min_depth=0, limit=1).lacking == ["q"]
    assert breadth_first("c", "x", graph("c:bx"), min_depth=0, limit=9).lacking == ["b"]


@given(st.lists(st.sets(st.integers(0, 9), max_size=4), max_size=10), st.integers(0, 12))
def test_walks_end_in_circles_too(prevs: list[set[int]], limit: int) -> None:
    nodes = {
        str(number): Node(str(number), number % 3, number, tuple(map(str, cited)), number % 4 != 0)
        for number, cited in enumerate(prevs)
    }
    for walk in (newest_first("0123", nodes, limit), breadth_first("0123", "4", nodes, min_depth=1, limit=limit)):
        found = [node.event_id for node in walk.found]
        assert len(found) == len(set(found)) <= limit
        assert len(walk.lacking) == len(set(walk.lacking))
