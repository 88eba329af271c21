"""A scripted server with a key and rooms: it answers what our servers ask about these rooms, and sends what a test wants.

    mallory = ForeignServer(peer)
    room = mallory.host(ForeignRoom.create("10"))
    answer = await mallory.send(alpha.server, [event])     # PUT /send
    await mallory.ask(alpha.server, "GET", "/_matrix/federation/v1/state_ids/…")

Whatever it should say differently: `mallory.peer.says(...)` and `mallory.peer.serves(...)` come before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from homeserver.federation.client import request_uri
from homeserver.federation.keyring import SERVER_KEYS
from homeserver.protocol.builder import hash_and_sign
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import SigningKey, sign_event
from homeserver.protocol.x_matrix import sign_request
from tests.cast import Answer, Expected, Server
from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.peers import Asked, Peer, Refusal, key_document, signing_key

V1, V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"


def _counter() -> Any:
    return itertools.count(1)


@dataclass(slots=True)
class ForeignServer:
    """`received`: transactions that were sent to it. `invites`: by room id, as they came."""

    peer: Peer
    name: str = "peer.example"
    key: SigningKey = field(default_factory=lambda: signing_key(2))
    rooms: dict[str, ForeignRoom] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)
    invites: dict[str, dict[str, Any]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=_counter)

    def __post_init__(self) -> None:
        self.peer.says(SERVER_KEYS, key_document(self.name, self.key))
        for method, path, operation in (
            ("PUT", f"{V1}/send/{{txn_id}}", self._send),
            ("GET", f"{V1}/event/{{event_id}}", self._event),
            ("GET", f"{V1}/state/{{room_id}}", self._state),
            ("GET", f"{V1}/state_ids/{{room_id}}", self._state_ids),
            ("GET", f"{V1}/event_auth/{{room_id}}/{{event_id}}", self._event_auth),
            ("GET", f"{V1}/backfill/{{room_id}}", self._backfill),
            ("POST", f"{V1}/get_missing_events/{{room_id}}", self._missing_events),
            ("GET", f"{V1}/make_join/{{room_id}}/{{user_id}}", self._make("join")),
            ("GET", f"{V1}/make_leave/{{room_id}}/{{user_id}}", self._make("leave")),
            ("GET", f"{V1}/make_knock/{{room_id}}/{{user_id}}", self._make("knock")),
            ("PUT", f"{V2}/send_join/{{room_id}}/{{event_id}}", self._send_join),
            ("PUT", f"{V2}/send_leave/{{room_id}}/{{event_id}}", self._send_leave),
            ("PUT", f"{V1}/send_knock/{{room_id}}/{{event_id}}", self._send_knock),
            ("PUT", f"{V2}/invite/{{room_id}}/{{event_id}}", self._invite),
        ):
            self.peer.serves(method, path, operation)

    def host(self, room: ForeignRoom) -> ForeignRoom:
        """Answer what is asked about this room."""
        self.rooms[room.room_id] = room
        return room

    # --- Speaking ---

    async def raw(
        self, server: Server, method: str, uri: str, body: Any = None, *, data: bytes | None = None, check: bool = True
    ) -> Answer:
        """Any signed request, any answer. `data`: bytes that go instead of the signed `body`."""
        header = sign_request(self.key, method, uri, self.name, server.server_name, body)
        sent = data if data is not None else None if body is None else orjson.dumps(body)
        client = server.anonymous()
        return await client.raw(method, uri, data=sent, headers={"Authorization": header}, check=check, encoded=True)

    async def ask(self, server: Server, method: str, uri: str, body: Any = None, *, expect: Expected = 200) -> Any:
        """The decoded answer, checked against the specification and `expect`."""
        answer = await self.raw(server, method, uri, body)
        decoded = answer.json()
        found = (answer.status, decoded.get("errcode"))
        wanted = expect if isinstance(expect, (tuple, set)) else (expect,)
        assert found == wanted or found[0] in wanted or found[1] in wanted, f"{method} {uri}: {answer}"
        return decoded

    async def send(
        self,
        server: Server,
        pdus: Sequence[Event | dict[str, Any]] = (),
        edus: Sequence[dict[str, Any]] = (),
        *,
        txn_id: str | None = None,
        expect: Expected = 200,
    ) -> Any:
        """A transaction; the answer's `pdus`, by event id (the whole answer where it is an error)."""
        body = {
            "origin": self.name,
            "origin_server_ts": 1,
            "pdus": [each.pdu if isinstance(each, Event) else each for each in pdus],
            "edus": list(edus),
        }
        uri = f"{V1}/send/{quote(txn_id or f'txn{next(self._numbers)}', safe='')}"
        answer = await self.ask(server, "PUT", uri, body, expect=expect)
        return answer.get("pdus", answer)

    async def join(self, server: Server, room_id: str, user_id: str, version: str | None = None) -> ForeignRoom:
        """Join a room of that server with a user of ours: make_join, send_join. The room as it was told is hosted here."""
        versions = [version] if version else list(ROOM_VERSIONS)
        query = "&".join(f"ver={each}" for each in versions)
        made = await self.ask(server, "GET", f"{request_uri(f'{V1}/make_join', room_id, user_id)}?{query}")
        rules = ROOM_VERSIONS[made["room_version"]]
        join = hash_and_sign(made["event"], rules, self.name, self.key)
        uri = request_uri(f"{V2}/send_join", room_id, join.event_id)
        answer = await self.ask(server, "PUT", uri, join.pdu)
        pdu = answer.get("event") or join.pdu
        keys = {self.name: self.key}
        return self.host(ForeignRoom.mirror(rules.version, pdu, answer["state"], answer["auth_chain"], keys))

    # --- Being asked ---

    def _room(self, asked: Asked) -> ForeignRoom:
        room = self.rooms.get(asked.path["room_id"])
        if room is None:
            raise Refusal
        return room

    def _at(self, asked: Asked) -> tuple[ForeignRoom, Event]:
        """The room and the event that the query names."""
        room = self._room(asked)
        event_id = asked.query["event_id"][0]
        if event_id not in room.events:
            raise Refusal
        return room, room.events[event_id]

    def _send(self, asked: Asked) -> Any:
        self.received.append(asked.body)
        return {"pdus": {}}

    def _event(self, asked: Asked) -> Any:
        event_id = asked.path["event_id"]
        for room in self.rooms.values():
            if event_id in room.events and event_id not in room.withheld:
                return {"origin": self.name, "origin_server_ts": 1, "pdus": [room.events[event_id].pdu]}
        raise Refusal

    def _state(self, asked: Asked) -> Any:
        room, event = self._at(asked)
        state = room.state_events(event.prev_event_ids)
        return {"pdus": room.given(state), "auth_chain": room.given(room.auth_chain(state))}

    def _state_ids(self, asked: Asked) -> Any:
        room, event = self._at(asked)
        state = room.state_events(event.prev_event_ids)
        return {"pdu_ids": _ids(state), "auth_chain_ids": _ids(room.auth_chain(state))}

    def _event_auth(self, asked: Asked) -> Any:
        room = self._room(asked)
        event = room.events.get(asked.path["event_id"])
        if event is None:
            raise Refusal
        return {"auth_chain": room.given(room.auth_chain([event]))}

    def _backfill(self, asked: Asked) -> Any:
        room = self._room(asked)
        found = room.back_from(asked.query["v"], int(asked.query["limit"][0]))
        return {"origin": self.name, "origin_server_ts": 1, "pdus": room.given(found)}

    def _missing_events(self, asked: Asked) -> Any:
        room, body = self._room(asked), asked.body
        latest = [room.events[each] for each in body["latest_events"] if each in room.events]
        before = [each for event in latest for each in event.prev_event_ids]
        found = room.back_from(before, body.get("limit", 10), body["earliest_events"])
        found = [each for each in found if each.depth >= body.get("min_depth", 0)]
        return {"events": room.given(sorted(found, key=lambda event: event.depth))}

    def _make(self, membership: str) -> Any:
        def make(asked: Asked) -> Any:
            room = self._room(asked)
            answer = {"event": room.template(asked.path["user_id"], membership)}
            return answer if membership == "leave" else {**answer, "room_version": room.version.version}

        return make

    def _send_join(self, asked: Asked) -> Any:
        room = self._room(asked)
        state = room.state_events()
        join = room.accept(asked.body)
        return {
            "origin": self.name,
            "event": join.pdu,
            "state": room.given(state),
            "auth_chain": room.given(room.auth_chain([join, *state])),
        }

    def _send_leave(self, asked: Asked) -> Any:
        self._room(asked).accept(asked.body)
        return {}

    def _send_knock(self, asked: Asked) -> Any:
        room = self._room(asked)
        room.accept(asked.body)
        return {"knock_room_state": [_stripped(each) for each in room.state_events() if each.state_key == ""]}

    def _invite(self, asked: Asked) -> Any:
        """Accepted and signed."""
        self.invites[asked.path["room_id"]] = asked.body
        version = ROOM_VERSIONS[asked.body["room_version"]]
        return {"event": sign_event(asked.body["event"], version, self.name, self.key)}


def _ids(events: Iterable[Event]) -> list[str]:
    return [event.event_id for event in events]


def _stripped(event: Event) -> dict[str, Any]:
    return {"type": event.type, "state_key": event.state_key, "sender": event.sender, "content": event.content}
