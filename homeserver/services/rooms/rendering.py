"""Events as one reader gets them: stored bytes spliced together, nothing parsed.

`unsigned` is what is stored for everybody, and behind it what differs by reader: `age`, the reader's `membership` when
the event was sent, and the `transaction_id` for the device that sent it.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from homeserver.protocol.client_event import render
from homeserver.services.requester import Requester
from homeserver.services.rooms.timeline_event import TimelineEvent

# The few values that there are; anything else is encoded when it is met.
MEMBERSHIPS = {name: b'"membership":"%s"' % name.encode() for name in ("join", "invite", "leave", "ban", "knock")}


def render_event(
    event: TimelineEvent, *, reader: Requester, now_ms: int, room_id: str | None, membership: str | None = None
) -> bytes:
    """The client JSON of an event. `room_id` None for /sync, where the place says it.

    `membership` is the reader's own at the time of the event ("leave" where he had none); None leaves it out, as is
    right where the reader is not a user of the room at all.
    """
    return render(event.body, room_id=room_id, unsigned=_unsigned(event, reader, now_ms, membership))


def render_state(events: Iterable[TimelineEvent], *, now_ms: int, room_id: str) -> list[bytes]:
    """The client JSON of many state events, ten thousand members say, without what differs by reader.

    Nobody gives a state event a transaction id, and `membership` "MAY be omitted if [...] calculating the value is
    expensive", as it is for state from all of the room's history.
    """
    head = b',"room_id":' + orjson.dumps(room_id) + b',"unsigned":{'
    return [
        b'%b%b"age":%d}}'
        % (
            event.body[:-1],
            head if event.unsigned is None else head + event.unsigned + b",",
            now_ms - event.origin_server_ts,
        )
        for event in events
    ]


def _unsigned(event: TimelineEvent, reader: Requester, now_ms: int, membership: str | None) -> bytes:
    # "May be incorrect if the local time on at least one of the two servers is out of sync": negative ages exist.
    age = b'"age":%d' % (now_ms - event.origin_server_ts)
    parts = [age] if event.unsigned is None else [event.unsigned, age]
    if membership is not None:
        parts.append(MEMBERSHIPS.get(membership) or b'"membership":' + orjson.dumps(membership))
    txn = event.txn
    if txn is not None and txn[0] == reader.user_id and txn[1] == reader.device_id:
        parts.append(b'"transaction_id":' + orjson.dumps(txn[2]))
    return b"{" + b",".join(parts) + b"}"
