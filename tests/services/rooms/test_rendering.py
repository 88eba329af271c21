"""Events as Alice's devices, and Bob's, get them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from homeserver.services.requester import Requester
from homeserver.services.rooms.rendering import render_event
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.timeline.presentation import transaction_id_of

NOW = 1_700_000_000_000
BODY: dict[str, Any] = {
    "content": {"body": "hé"},
    "event_id": "$e",
    "origin_server_ts": NOW - 5,
    "sender": "@alice:test",
    "type": "m.room.message",
}


def _event(unsigned: bytes | None = None, txn: tuple[str, str, str] | None = None) -> TimelineEvent:
    return TimelineEvent(
        event_nid=1, position=1, room_nid=1, room_id="!r:test", event_id="$e", type="m.room.message", state_key=None,
        sender="@alice:test", origin_server_ts=NOW - 5, depth=1, flags=0, body=orjson.dumps(BODY), unsigned=unsigned,
        txn=txn,
    )  # fmt: skip


def _reader(user_id: str, device_id: str | None) -> Requester:
    return Requester(user_id, device_id, 1, 1, False, False)


def _rendered(event: TimelineEvent, reader: Requester, **options: Any) -> Any:
    return orjson.loads(render_event(event, reader=reader, now_ms=NOW, **options))


def test_the_body_is_the_stored_one_with_what_depends_on_the_reader() -> None:
    bob = _reader("@bob:test", "PHONE")
    assert _rendered(_event(), bob, room_id=None) == {**BODY, "unsigned": {"age": 5}}
    assert _rendered(_event(), bob, room_id="!r:test", membership="invite") == {
        **BODY,
        "room_id": "!r:test",
        "unsigned": {"age": 5, "membership": "invite"},
    }


def test_what_is_stored_for_everybody_stays() -> None:
    shown = _rendered(_event(b'"prev_content":{"a":1}'), _reader("@bob:test", "PHONE"), room_id=None)
    assert shown["unsigned"] == {"prev_content": {"a": 1}, "age": 5}


def test_a_membership_nobody_knows_is_still_json() -> None:
    shown = _rendered(_event(), _reader("@bob:test", "PHONE"), room_id=None, membership='od"d')
    assert shown["unsigned"]["membership"] == 'od"d'


@pytest.mark.parametrize(
    ("user_id", "device_id", "expected"),
    [
        ("@alice:test", "PHONE", 'x"1'),
        ("@alice:test", "LAPTOP", None),
        ("@alice:test", None, None),
        ("@bob:test", "PHONE", None),
    ],
)
def test_the_transaction_id_is_for_the_sending_device(
    user_id: str, device_id: str | None, expected: str | None
) -> None:  # fmt: skip
    event = _event(txn=("@alice:test", "PHONE", 'x"1'))
    shown = _rendered(event, _reader(user_id, device_id), room_id=None)
    assert shown["unsigned"].get("transaction_id") == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("send !r:test m.room.message m1", "m1"),
        ("send !r:test m.room.message with space", "with space"),
        ("redact !r:test $target m2", "m2"),
        ("send !other:test m.room.message m1", None),
        ("redact !r:test", None),
    ],
)
def test_transaction_ids_come_back_out_of_stored_keys(key: str, expected: str | None) -> None:
    assert transaction_id_of(key, _event()) == expected
