"""What a plain message costs in a room of 500: nothing is done for each of its readers."""

from __future__ import annotations

import time
from typing import Any

import orjson

from homeserver.protocol.events import Event
from homeserver.protocol.push_rules import Customisation
from homeserver.protocol.push_rules.customisation import put_rule, set_actions
from homeserver.protocol.push_rules.rules import PushRule
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.push_rules.rulesets import Rulesets
from homeserver.services.rooms.live_room import CurrentState, LiveRoom, RoomTip
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.thread_subscriptions.index import SubscriptionIndex
from homeserver.services.thread_subscriptions.readers import ThreadReaders
from homeserver.services.unread.rules import ReaderNotifications
from homeserver.services.unread.threads import Threads
from homeserver.storage.push_rules import PushRuleRows
from homeserver.storage.thread_subscriptions import ThreadSubscriptionRows
from homeserver.storage.unread import UnreadCountRows
from tests.cast import Server

READERS = [f"@reader{number}:test" for number in range(500)]
VERSION = ROOM_VERSIONS["12"]


def _state(event_type: str, state_key: str, content: dict[str, Any]) -> TimelineEvent:
    body = {"type": event_type, "state_key": state_key, "sender": READERS[0], "content": content, "event_id": "$e"}
    return TimelineEvent(
        event_nid=1,
        position=1,
        room_nid=1,
        room_id="!room",
        event_id=f"${event_type}{state_key}",
        type=event_type,
        state_key=state_key,
        sender=READERS[0],
        origin_server_ts=1,
        depth=1,
        flags=0,
        body=orjson.dumps({**body, "origin_server_ts": 1}),
        unsigned=None,
    )


def _room() -> LiveRoom:
    members = [_state("m.room.member", reader, {"membership": "join"}) for reader in READERS]
    create = _state("m.room.create", "", {"room_version": "12"})
    state = CurrentState([create, *members])
    return LiveRoom(
        room_id="!room", room_nid=1, version=VERSION, server_name="test", tip=RoomTip((), 1, 1), state=state
    )


def _message(**content: Any) -> Event:
    pdu = {
        "type": "m.room.message",
        "sender": READERS[0],
        "content": {"msgtype": "m.text", "body": "hello", **content},
        "origin_server_ts": 1,
        "event_id": "$message",
    }
    return Event.from_client_body(pdu, "!room", VERSION)


def _rules(server: Server) -> ReaderNotifications:
    queries = server.application.base.database
    threads = Threads(queries, UnreadCountRows())
    thread_readers = ThreadReaders(SubscriptionIndex(queries, ThreadSubscriptionRows()), threads)
    return ReaderNotifications(Rulesets(queries, PushRuleRows()), threads, thread_readers)


async def _microseconds(rules: ReaderNotifications, room: LiveRoom, event: Event) -> float:
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(20):
            await rules.evaluate(room, event)
        best = min(best, (time.perf_counter() - started) / 20)
    return best * 1e6


async def test_a_plain_message_in_a_room_of_500(server: Server) -> None:
    rules, room = _rules(server), _room()
    notification = await rules.evaluate(room, _message())
    assert (notification.default_notifies, notification.exceptions) == (True, [])
    assert await _microseconds(rules, room, _message()) < 500


async def test_only_those_who_customised_are_asked(server: Server) -> None:
    rules, room = _rules(server), _room()
    quiet = set_actions(Customisation(), "underride", ".m.rule.message", ())
    cake = put_rule(Customisation(), PushRule("content", "cake", ("notify",), pattern="cake"))
    rules.rulesets.changed(READERS[1], quiet)
    rules.rulesets.changed(READERS[2], cake)
    mention = _message(**{"m.mentions": {"user_ids": [READERS[1], READERS[3], READERS[0], "@stranger:test"]}})
    notification = await rules.evaluate(room, mention)
    assert set(notification.exceptions) == {(READERS[1], "main", True, True), (READERS[3], "main", True, True)}
    # "Mentions only" is the reader's way to read this room, and not an exception for each message.
    assert (await rules.evaluate(room, _message())).exceptions == []


async def test_thousand_customised_readers_take_milliseconds_at_most(server: Server) -> None:
    rules, room = _rules(server), _room()
    for number, reader in enumerate(READERS[1:]):
        muted = PushRule("room", f"!other{number}", ())
        rules.rulesets.changed(reader, put_rule(Customisation(), muted))
    notification = await rules.evaluate(room, _message())
    assert notification.exceptions == []
    assert await _microseconds(rules, room, _message()) < 20_000
