"""A stored event as the server keeps it in memory: columns for deciding, bytes for answering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from homeserver.protocol.sticky import sticks_until, sticky_duration

NOTIFIES = 1
REDACTED = 2
SOFT_FAILED = 4
REJECTED = 8
HIGHLIGHTS = 16
STICKY = 32
OUTLIER = 64
PASSED_OVER = 128
"""A state event in the timeline that did not come into force with its position: others hold its place."""
RESOLVES = 256
"""With it other entries of the room's state came into force, or went, or there is a hole before it: no plain news."""
RELATED = 512
"""Other events relate to it in a way that is aggregated, or did once (protocol/relations.py)."""

UNPLACED = SOFT_FAILED | REJECTED | OUTLIER
"""Events with one of these flags are in no timeline."""


class TimelineEvent:
    """One committed event of a room.

    ``body`` is the client format without room_id and unsigned (see protocol/client_event.py); it is spliced
    into responses and parsed only where somebody asks for ``content``. ``txn`` is (user, device, transaction id)
    for events sent by this server's devices in this process' lifetime; of delayed events (user, None, delay id).
    ``position`` is its place in the timeline; of entries of a room's state the position from which they are in force; of
    events that have no place their number.
    ``exceptions`` are the readers whom a freshly committed event notifies otherwise than NOTIFIES says:
    (user_id, thread_id, notify, highlight).
    """

    __slots__ = (
        "_content",
        "_sticky_until",
        "body",
        "depth",
        "event_id",
        "event_nid",
        "exceptions",
        "flags",
        "origin_server_ts",
        "position",
        "rendered",
        "room_id",
        "room_nid",
        "sender",
        "state_key",
        "txn",
        "type",
        "unsigned",
    )

    def __init__(
        self,
        *,
        event_nid: int,
        position: int,
        room_nid: int,
        room_id: str,
        event_id: str,
        type: str,
        state_key: str | None,
        sender: str,
        origin_server_ts: int,
        depth: int,
        flags: int,
        body: bytes,
        unsigned: bytes | None,
        content: dict[str, Any] | None = None,
        txn: tuple[str, str | None, str] | None = None,
        exceptions: Sequence[tuple[str, str, bool, bool]] = (),
    ) -> None:
        self.event_nid = event_nid
        self.position = position
        self.room_nid = room_nid
        self.room_id = room_id
        self.event_id = event_id
        self.type = type
        self.state_key = state_key
        self.sender = sender
        self.origin_server_ts = origin_server_ts
        self.depth = depth
        self.flags = flags
        self.body = body
        self.unsigned = unsigned
        self.txn = txn
        self.exceptions = exceptions
        self._content = content
        self._sticky_until: int | None = None
        # The bytes every reader without peculiarities gets in /sync; made once, by whoever needs them first.
        self.rendered: bytes | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The parsed content; kept once asked for, because whoever asks once asks again."""
        if self._content is None:
            content = orjson.loads(self.body).get("content")
            self._content = content if isinstance(content, dict) else {}
        return self._content

    @property
    def membership(self) -> str | None:
        """The membership of an m.room.member event, else None."""
        if self.type != "m.room.member":
            return None
        membership = self.content.get("membership")
        return membership if isinstance(membership, str) else None

    @property
    def sticky_until(self) -> int | None:
        """When it stops to stick, in ms (MSC4354); None where it never did. Of our own events: received when made."""
        if not self.flags & STICKY:
            return None
        if self._sticky_until is None:
            duration = sticky_duration(orjson.loads(self.body)) or 0
            self._sticky_until = sticks_until(duration, self.origin_server_ts, self.origin_server_ts)
        return self._sticky_until

    @property
    def weight(self) -> int:
        """What it costs in memory, in events of ordinary size: one of 64 KiB counts like 65 of them."""
        return 1 + (len(self.body) >> 10)

    @property
    def is_state(self) -> bool:
        return self.state_key is not None

    @property
    def takes_force(self) -> bool:
        """Whether it is state from its position in the timeline on."""
        return self.state_key is not None and not self.flags & PASSED_OVER

    @property
    def is_redacted(self) -> bool:
        return bool(self.flags & REDACTED)

    @property
    def notifies(self) -> bool:
        return bool(self.flags & NOTIFIES)

    @property
    def highlights(self) -> bool:
        """Whether those whom it notifies by NOTIFIES get a highlight (`@room`)."""
        return bool(self.flags & HIGHLIGHTS)

    def with_position(self, position: int) -> TimelineEvent:
        """The same event as it is in force from another position on (the event itself where that is its own)."""
        if position == self.position:
            return self
        return TimelineEvent(
            event_nid=self.event_nid,
            position=position,
            room_nid=self.room_nid,
            room_id=self.room_id,
            event_id=self.event_id,
            type=self.type,
            state_key=self.state_key,
            sender=self.sender,
            origin_server_ts=self.origin_server_ts,
            depth=self.depth,
            flags=self.flags,
            body=self.body,
            unsigned=self.unsigned,
            content=self._content,
            txn=self.txn,
            exceptions=self.exceptions,
        )

    def with_form(self, body: bytes, unsigned: bytes | None, flags: int) -> TimelineEvent:
        """The same event with other bytes."""
        return TimelineEvent(
            event_nid=self.event_nid,
            position=self.position,
            room_nid=self.room_nid,
            room_id=self.room_id,
            event_id=self.event_id,
            type=self.type,
            state_key=self.state_key,
            sender=self.sender,
            origin_server_ts=self.origin_server_ts,
            depth=self.depth,
            flags=flags,
            body=body,
            unsigned=unsigned,
            txn=self.txn,
            exceptions=self.exceptions,
        )

    def __repr__(self) -> str:
        return f"<{self.type} {self.event_id} at {self.position} in {self.room_id}>"
