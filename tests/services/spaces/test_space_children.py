"""The order of children, and what is no child."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.services.spaces.children import MAX_CHILDREN, MAX_VIA, child_of, in_order


def event(room_id: Any, sent_ms: Any = 1, **content: Any) -> dict[str, Any]:
    content = {"via": ["example.org"], **content}
    return {"state_key": room_id, "sender": "@a:example.org", "content": content, "origin_server_ts": sent_ms}


def order_of(*events: dict[str, Any]) -> list[str]:
    children = [child for each in events if (child := child_of(each)) is not None]
    return [child.room_id for child in in_order(children)]


def test_the_example_of_the_specification() -> None:
    assert order_of(
        event("!e:example.org", 1640641000000),
        event("!d:example.org", 1640741000000),
        event("!c:example.org", 1640841000000, order="first"),
        event("!b:example.org", 1640341000000, order=" "),
        event("!a:example.org", 1640141000000, order="aaaa"),
    ) == ["!b:example.org", "!a:example.org", "!c:example.org", "!e:example.org", "!d:example.org"]


def test_same_order_goes_by_time_and_then_by_room() -> None:
    assert order_of(
        event("!c:x", 2, order="a"), event("!b:x", 1, order="a"), event("!a:x", 2, order="a"), event("!0:x", 0)
    ) == ["!b:x", "!a:x", "!c:x", "!0:x"]


@pytest.mark.parametrize("order", ["x" * 51, "a\n", "ä", 5, None, "\x7f"])
def test_an_order_that_is_not_valid_is_none(order: Any) -> None:
    child = child_of(event("!a:x", order=order))
    assert child is not None
    assert child.order is None
    assert "order" not in child.as_stripped()["content"]


@pytest.mark.parametrize(
    "bad",
    [
        event("a:x"),
        event("!a:x", via=[]),
        event("!a:x", via="example.org"),
        event("!a:x", via=[1, "", "no server"]),
        event("!a:x", via=None),
        event("!a:x", "late"),
        {**event("!a:x"), "content": []},
        {**event("!a:x"), "sender": 1},
        {},
    ],
)
def test_what_is_no_child(bad: dict[str, Any]) -> None:
    assert child_of(bad) is None


def test_there_are_limits() -> None:
    child = child_of(event("!a:x", via=[f"s{number}.example" for number in range(1000)]))
    assert child is not None
    assert len(child.via) == MAX_VIA
    assert len(order_of(*(event(f"!{number}:x") for number in range(MAX_CHILDREN + 10)))) == MAX_CHILDREN
