"""Which relation an event declares."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.relations import MAX_AGGREGATION_KEY_BYTES, MAX_PARENT_BYTES, MAX_REL_TYPE_BYTES, relation_of


def relation(**relates_to: Any) -> tuple[str, str, str | None] | None:
    return relation_of({"m.relates_to": relates_to})


@pytest.mark.parametrize("rel_type", ["m.thread", "m.replace", "m.reference", "org.example"])
def test_a_relation_is_parent_and_type(rel_type: str) -> None:
    assert relation(event_id="$parent", rel_type=rel_type, key="ignored") == ("$parent", rel_type, None)


def test_an_annotation_has_a_key() -> None:
    assert relation(event_id="$parent", rel_type="m.annotation", key="👍") == ("$parent", "m.annotation", "👍")
    for key in (None, "", 5, [], "a\0b", "k" * (MAX_AGGREGATION_KEY_BYTES + 1)):
        assert relation(event_id="$parent", rel_type="m.annotation", key=key) is None


def test_a_thread_with_a_reply_for_old_clients_is_a_thread() -> None:
    reply = {"event_id": "$root", "rel_type": "m.thread", "m.in_reply_to": {"event_id": "$last"}}
    assert relation(**reply, is_falling_back=True) == ("$root", "m.thread", None)


def test_a_rich_reply_alone_is_no_relation() -> None:
    assert relation(**{"m.in_reply_to": {"event_id": "$parent"}}) is None


@pytest.mark.parametrize("relates_to", [None, 5, "text", [], {}, {"event_id": "$x"}, {"rel_type": "m.thread"}])
def test_what_is_incomplete_is_no_relation(relates_to: object) -> None:
    assert relation_of({"m.relates_to": relates_to}) is None
    assert relation_of({}) is None


@pytest.mark.parametrize("name", [None, 5, "", "\0", "\ud800", {}])
def test_names_are_texts_that_can_be_stored(name: object) -> None:
    assert relation(event_id=name, rel_type="m.thread") is None
    assert relation(event_id="$x", rel_type=name) is None


def test_names_are_not_longer_than_an_event_id() -> None:
    assert relation(event_id="$" + "x" * (MAX_PARENT_BYTES - 1), rel_type="t" * MAX_REL_TYPE_BYTES) is not None
    assert relation(event_id="$" + "x" * MAX_PARENT_BYTES, rel_type="t") is None
    assert relation(event_id="$x", rel_type="ü" * 128) is None


@given(
    st.dictionaries(
        st.sampled_from(["event_id", "rel_type", "key"]),
        st.none() | st.text(max_size=4) | st.just("m.annotation") | st.integers() | st.lists(st.text(max_size=2)),
    )
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_whatever_comes_a_relation_can_be_stored(relates_to: dict[str, Any]) -> None:
    found = relation(**relates_to)
    assert found is None or all(part is None or part.encode() for part in found)
