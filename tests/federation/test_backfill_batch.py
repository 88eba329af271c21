"""Which servers are asked for history, and what of their answers is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.federation.backfill_batch import connected, open_ends, still_open
from homeserver.federation.room_servers import RoomServers
from homeserver.protocol.room_versions import V11
from homeserver.services.rooms.live_room import CurrentState, LiveRoom, RoomTip
from homeserver.services.rooms.timeline_event import TimelineEvent
from tests.federation.foreign_rooms import MALLORY, ForeignRoom


@dataclass(frozen=True, slots=True)
class Member:
    user_id: str
    position: int = 0
    depth: int = 0
    membership: str = "join"


def state_event(event_type: str, state_key: str, sender: str, position: int, depth: int, **content: Any) -> Any:
    return TimelineEvent(
        event_nid=1, position=position, room_nid=1, room_id="!r", event_id=f"${event_type}{state_key}", type=event_type,
        state_key=state_key, sender=sender, origin_server_ts=0, depth=depth, flags=0, body=b"{}", unsigned=None,
        content=content,
    )  # fmt: skip


def room_of(creator: str, *members: Member) -> LiveRoom:
    state = CurrentState([state_event("m.room.create", "", creator, 0, 1)])
    for each in members:
        state.put(
            state_event(
                "m.room.member", each.user_id, each.user_id, each.position, each.depth, membership=each.membership
            )
        )
    tip = RoomTip(("$tip",), 1, 1)
    return LiveRoom(room_id="!r", room_nid=1, version=V11, server_name="us", tip=tip, state=state)


def likeliest(room: LiveRoom, *paused: str) -> list[str]:
    return RoomServers("us", lambda: 100, lambda name: 101 if name in paused else 0).likeliest(room)


ROOM = room_of(
    "@founder:founders",
    Member("@a:us", 1),
    *(Member(f"@{number}:crowd", 9) for number in range(5)),
    Member("@b:elders", 5, 2),
    Member("@c:elders2", 5, 3),
    Member("@d:founders", 9),
    Member("@e:gone", 0, membership="leave"),
)


def test_the_founders_the_elders_and_the_crowd_are_asked() -> None:
    assert likeliest(ROOM) == ["founders", "elders", "crowd", "elders2"]


def test_servers_that_failed_are_not_asked() -> None:
    assert likeliest(ROOM, "founders", "crowd") == ["elders", "elders2"]
    assert likeliest(room_of("@founder:founders", Member("@a:us"))) == []


def test_only_what_hangs_together_is_taken() -> None:
    room, lair = ForeignRoom.create("11"), ForeignRoom.create("11", name="other")
    said = [room.send(MALLORY, str(number)) for number in range(5)]
    foreign = lair.send(MALLORY, "elsewhere")
    answer = [foreign, *said, *said]
    assert connected(answer, [said[2].event_id]) == [said[2], said[1], said[0]]
    assert connected(answer, ["$unknown"]) == []
    assert connected([said[0], said[2]], [said[2].event_id]) == [said[2]]


def test_open_ends_are_where_the_answer_stops() -> None:
    room = ForeignRoom.create("11")
    base = room.tip[0]
    left, right = (room.add(room.build(MALLORY, "m.room.message", {"body": each}, prev=[base])) for each in "lr")
    both = room.send(MALLORY, "both")
    assert open_ends([both, left, right]) == {left.event_id: (base,), right.event_id: (base,)}
    assert open_ends([both, left]) == {both.event_id: (right.event_id,), left.event_id: (base,)}
    assert still_open(open_ends([both, left]), {base}) == {both.event_id: (right.event_id,)}
    assert open_ends(list(room.events.values())) == {}
