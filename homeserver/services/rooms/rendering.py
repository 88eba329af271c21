"""Events as one reader gets them: stored bytes spliced together, nothing parsed.

`unsigned` is what is stored for everybody, and behind it what differs by reader: `age`, the reader's `membership` when
the event was sent, the `transaction_id` for the device that sent it, the delay id of a delayed event for its sender, and
how long a sticky event still sticks.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from homeserver.protocol.client_event import render
from homeserver.protocol.sticky import TTL_KEY
from homeserver.services.requester import Requester
from homeserver.services.rooms.timeline_event import STICKY, TimelineEvent

TRANSACTION_ID = b'"transaction_id":'
DELAY_ID = b'"org.matrix.msc4140.delay_id":'
STICKY_TTL = b'"%b":' % TTL_KEY.encode()

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


def is_told_transaction(event: TimelineEvent, reader: Requester) -> bool:
    """Whether the reader's is the device that sent the event, or, of a delayed event, any device of its sender."""
    txn = event.txn
    if txn is None or txn[0] != reader.user_id:
        return False
    return txn[1] is None or txn[1] == reader.device_id


def sticky_parts(event: TimelineEvent, now_ms: int) -> list[bytes]:
    """ "When the sticky event is expired [...] the field MUST be omitted" (MSC4354)."""
    until = event.sticky_until
    return [b"%b%d" % (STICKY_TTL, until - now_ms)] if until is not None and until > now_ms else []


def _unsigned(event: TimelineEvent, reader: Requester, now_ms: int, membership: str | None) -> bytes:
    # "May be incorrect if the local time on at least one of the two servers is out of sync": negative ages exist.
    age = b'"age":%d' % (now_ms - event.origin_server_ts)
    parts = [age] if event.unsigned is None else [event.unsigned, age]
    if membership is not None:
        parts.append(MEMBERSHIPS.get(membership) or b'"membership":' + orjson.dumps(membership))
    if event.flags & STICKY:
        parts += sticky_parts(event, now_ms)
    if is_told_transaction(event, reader):
        assert event.txn is not None
        key = DELAY_ID if event.txn[1] is None else TRANSACTION_ID
        parts.append(key + orjson.dumps(event.txn[2]))
    return b"{" + b",".join(parts) + b"}"
