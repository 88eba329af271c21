"""Events as one reader gets them in an answer: bytes spliced into bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.protocol.client_event import join
from homeserver.protocol.filters import pick_fields
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.relations.aggregations import with_relations
from homeserver.services.requester import Requester
from homeserver.services.rooms.rendering import is_told_transaction, render_event, sticky_parts
from homeserver.services.rooms.timeline_event import STICKY, TimelineEvent
from homeserver.services.sync.window import Window


@dataclass(slots=True)
class Encoder:
    """For one reader and one moment."""

    reader: Requester
    now_ms: int
    event_fields: tuple[tuple[str, ...], ...] | None = None
    pdu_parts: Mapping[str, tuple[bytes, str]] = field(default_factory=dict)
    """(envelope, room version) by event id, where the federation format is wanted."""
    federation: bool = False
    relations: Mapping[str, bytes] = field(default_factory=dict)
    """`m.relations` in JSON, by event id."""

    def events(self, window: Window, events: Iterable[TimelineEvent]) -> list[orjson.Fragment]:
        """The JSON of events of one window."""
        return [orjson.Fragment(self.event(event, window.membership_at(event.position))) for event in events]

    def event(self, event: TimelineEvent, membership: str | None) -> bytes:
        """The JSON of one event; `membership`: the reader's own when it was sent, None where it is not known."""
        if self.federation:
            return self._picked(self._pdu(event))
        if membership == "join" and not is_told_transaction(event, self.reader):
            rendered = rendered_for_members(event, self.now_ms)
        else:
            rendered = render_event(
                event, reader=self.reader, now_ms=self.now_ms, room_id=None, membership=membership
            )  # fmt: skip
        if self.relations:
            rendered = with_relations(rendered, self.relations.get(event.event_id))
        return rendered if self.event_fields is None else self._picked(orjson.loads(rendered))

    def _pdu(self, event: TimelineEvent) -> dict[str, Any]:
        """ "'federation' will return the raw event as received over federation", with its id and what is unsigned."""
        envelope, version = self.pdu_parts[event.event_id]
        pdu = join(event.body, envelope, ROOM_VERSIONS[version])
        unsigned = b"{" if event.unsigned is None else b"{" + event.unsigned + b","
        unsigned += b'"age":%d}' % (self.now_ms - event.origin_server_ts)
        relations = self.relations.get(event.event_id)
        if relations is not None:
            unsigned = unsigned[:-1] + b',"m.relations":%b}' % relations
        return {**pdu, "event_id": event.event_id, "room_id": event.room_id, "unsigned": orjson.loads(unsigned)}

    def _picked(self, event: Mapping[str, Any]) -> bytes:
        if self.event_fields is None:
            return orjson.dumps(event)
        return orjson.dumps(pick_fields(event, self.event_fields))


def rendered_for_members(event: TimelineEvent, now_ms: int) -> bytes:
    """What every member gets who is not its sender: made once per event but for the age, which comes last."""
    prefix = event.rendered
    if prefix is None:
        unsigned = b"" if event.unsigned is None else event.unsigned + b","
        prefix = event.rendered = b'%b,"unsigned":{%b"membership":"join","age":' % (event.body[:-1], unsigned)
    if event.flags & STICKY:
        age = b"%d" % (now_ms - event.origin_server_ts)
        return b"%b%b}}" % (prefix, b",".join([age, *sticky_parts(event, now_ms)]))
    return b"%b%d}}" % (prefix, now_ms - event.origin_server_ts)
