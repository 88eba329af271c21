"""Asking other servers for events: single ones, what is missing between here and there, history, state, auth chains.

Source: server-server API, "Retrieving events", "Backfilling and retrieving missing events", "Retrieving room state".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from homeserver.federation.client import Call, Limits, request_uri
from homeserver.federation.errors import BadAnswer
from homeserver.federation.long_answers import read_lists
from homeserver.federation.pdu_checks import PduChecks, kept
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import is_event_id
from homeserver.protocol.room_versions import RoomVersion

FEDERATION: Final = "/_matrix/federation/v1/"
MEBIBYTE: Final = 1024 * 1024
MAX_MISSING: Final = 50
"""Events of one answer to get_missing_events; other servers give 10 or 20 at most."""
MAX_BACKFILLED: Final = 100
MAX_IDS: Final = 200_000
"""State entries, and events of an auth chain, of one room."""
MAX_NAMED: Final = 20
"""Events that a question names: as many as an event may be built on."""
MAX_EARLIEST: Final = 600
"""Events that are not asked for again: all that are in hand while a gap is bridged."""
EVENT_LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=256 * 1024)
PAGE_LIMITS: Final = Limits(timeout_ms=20_000, max_bytes=8 * MEBIBYTE)
IDS_LIMITS: Final = Limits(timeout_ms=30_000, max_bytes=20 * MEBIBYTE)
CHAIN_LIMITS: Final = Limits(timeout_ms=30_000, max_bytes=50 * MEBIBYTE)
STATE_LIMITS: Final = Limits(timeout_ms=60_000, max_bytes=200 * MEBIBYTE)


class Client(Protocol):
    """`FederationClient`."""

    async def body(self, destination: str, call: Call) -> bytes:
        """Raises MatrixError."""
        ...

    async def get(self, destination: str, uri: str, *, limits: Limits = ...) -> dict[str, Any]:
        """Raises MatrixError."""
        ...

    async def post(
        self, destination: str, uri: str, content: Mapping[str, Any], *, limits: Limits = ...
    ) -> dict[str, Any]:
        """Raises MatrixError."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteStateIds:
    """The state before an event, and what that is authorised by."""

    state: list[str]
    auth_chain: list[str]


@dataclass(frozen=True, slots=True)
class RemoteState:
    """The same as events."""

    state: list[Event]
    auth_chain: list[Event]


@dataclass(frozen=True, slots=True)
class RemoteEvents:
    """Each verb is one request. What comes back has passed `PduChecks`; events that have not, and those of other rooms, are
    left out. What is asked for may be missing from the answer, and more may be in it than was asked for, up to a bound.

    All raise what `FederationClient.call` raises, and BadAnswer for an answer of another form.
    """

    client: Client
    checks: PduChecks

    async def event(self, destination: str, event_id: str, version: RoomVersion, *, room_id: str) -> Event | None:
        """One event; None where the other server does not give it, or gives another."""
        answer = await self.client.get(destination, request_uri(FEDERATION + "event", event_id), limits=EVENT_LIMITS)
        events = await self._checked(_list(answer, "pdus", 1), version, room_id)
        return next((event for event in events if event.event_id == event_id), None)

    async def missing_events(
        self,
        destination: str,
        room_id: str,
        version: RoomVersion,
        *,
        earliest: Sequence[str],
        latest: Sequence[str],
        min_depth: int = 0,
        limit: int = MAX_MISSING,
    ) -> list[Event]:
        """What is before `latest`, as far as that can be reached without `earliest`; neither of them is part of it."""
        content = {
            "earliest_events": list(earliest[:MAX_EARLIEST]),
            "latest_events": list(latest[:MAX_NAMED]),
            "limit": limit,
            "min_depth": min_depth,
        }
        uri = request_uri(FEDERATION + "get_missing_events", room_id)
        answer = await self.client.post(destination, uri, content, limits=PAGE_LIMITS)
        return await self._checked(_list(answer, "events", MAX_MISSING), version, room_id)

    async def backfill(
        self, destination: str, room_id: str, version: RoomVersion, *, before: Sequence[str], limit: int
    ) -> list[Event]:
        """These events and what was before them, newest first as a rule."""
        query = [("v", each) for each in before[:MAX_NAMED]] + [("limit", str(limit))]
        uri = request_uri(FEDERATION + "backfill", room_id, query=query)
        answer = await self.client.get(destination, uri, limits=PAGE_LIMITS)
        return await self._checked(_list(answer, "pdus", MAX_BACKFILLED), version, room_id)

    async def event_auth(self, destination: str, room_id: str, event_id: str, version: RoomVersion) -> list[Event]:
        """The auth chain of an event, in no order."""
        uri = request_uri(FEDERATION + "event_auth", room_id, event_id)
        _, chain = await self._lists(destination, uri, CHAIN_LIMITS)
        return await self._checked(chain, version, room_id)

    async def state_ids(self, destination: str, room_id: str, event_id: str) -> RemoteStateIds:
        """The ids of the state before an event."""
        uri = request_uri(FEDERATION + "state_ids", room_id, query={"event_id": event_id})
        answer = await self.client.get(destination, uri, limits=IDS_LIMITS)
        return RemoteStateIds(_ids(answer, "pdu_ids"), _ids(answer, "auth_chain_ids"))

    async def state(self, destination: str, room_id: str, event_id: str, version: RoomVersion) -> RemoteState:
        """The state before an event. Long."""
        uri = request_uri(FEDERATION + "state", room_id, query={"event_id": event_id})
        state, chain = await self._lists(destination, uri, STATE_LIMITS)
        return RemoteState(await self._checked(state, version, room_id), await self._checked(chain, version, room_id))

    async def _lists(self, destination: str, uri: str, limits: Limits) -> tuple[list[Any], list[Any]]:
        """`pdus` and `auth_chain`."""
        body = await self.client.body(destination, Call("GET", uri, limits=limits))
        return await asyncio.to_thread(read_lists, body, MAX_IDS)

    async def _checked(self, pdus: list[Any], version: RoomVersion, room_id: str) -> list[Event]:
        events = kept(await self.checks(pdus, version, room_id=room_id))
        return _once(events)


def _once(events: Iterable[Event]) -> list[Event]:
    return list({event.event_id: event for event in events}.values())


def _list(answer: Mapping[str, Any], name: str, limit: int) -> list[Any]:
    """What is beyond the limit was not asked for: it is cut off."""
    found = answer.get(name)
    if not isinstance(found, list):
        raise BadAnswer(f"The other server's answer has no list '{name}'")
    return found[:limit]


def _ids(answer: Mapping[str, Any], name: str) -> list[str]:
    """Raises BadAnswer where there are too many: of a state, no part may be left out."""
    found = answer.get(name)
    if not isinstance(found, list) or not all(is_event_id(each) for each in found):
        raise BadAnswer(f"The other server's answer has no list of event ids '{name}'")
    if len(found) > MAX_IDS:
        raise BadAnswer(f"The other server's answer has more than {MAX_IDS} '{name}'")
    return list(dict.fromkeys(found))
