"""A server that asks ours: signed requests, whose answers are checked against the specification like those of clients."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.signing import SigningKey
from homeserver.protocol.x_matrix import sign_request
from homeserver.services.rooms.appender import Plan
from homeserver.services.rooms.timeline_event import TimelineEvent
from tests.cast import Answer, Expected, Server, check_expected
from tests.voice.waiting import until

FEDERATION = "/_matrix/federation/v1"


@dataclass(frozen=True, slots=True)
class Asker:
    """`name` asks `server`, which finds the key by itself."""

    server: Server
    name: str
    key: SigningKey

    async def get(self, *path: str, expect: Expected = 200, query: Sequence[tuple[str, Any]] = ()) -> Any:
        """`path` begins after /_matrix/federation/v1."""
        uri = uri_of(path, query)
        return await self._ask("GET", uri, None, expect)

    async def post(self, *path: str, body: Mapping[str, Any], expect: Expected = 200) -> Any:
        return await self._ask("POST", uri_of(path, ()), body, expect)

    async def _ask(self, method: str, uri: str, body: Mapping[str, Any] | None, expect: Expected) -> Any:
        header = sign_request(self.key, method, uri, self.name, self.server.server_name, body)
        headers = {"Authorization": header, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        answer: Answer = await self.server.anonymous().raw(method, uri, data=data, headers=headers, encoded=True)
        check_expected(f"{method} {uri}", answer, expect)
        return answer.json()


def uri_of(path: Sequence[str], query: Sequence[tuple[str, Any]]) -> str:
    uri = FEDERATION + "".join("/" + quote(each, safe="") for each in path)
    return f"{uri}?{urlencode(query)}" if query else uri


async def stores(server: Server, room_id: str, *drafts: EventDraft) -> list[TimelineEvent]:
    """Events of whomever, as if they had come from his server and been accepted."""
    kernel = server.application.kernel
    return await kernel.appender.commit(room_id, lambda room: Plan(drafts))


def member(user_id: str, membership: str, sender: str | None = None) -> EventDraft:
    return EventDraft("m.room.member", sender or user_id, {"membership": membership}, state_key=user_id)


async def all_is_told(server: Server) -> None:
    """Whatever has happened so far was handed to the sender, with all whom it concerns."""
    memory = server.application.base.life.memory["announcements"]
    await until(lambda: not any(memory().values()), "that nothing waits to be told")
