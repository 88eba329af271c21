"""A walk through a space, depth first. Client-server API, "Discovering rooms within spaces"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.services.spaces.remote import RemoteSpace

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.spaces.children import Child
    from homeserver.services.spaces.local_rooms import LocalRooms
    from homeserver.services.spaces.remote import OtherServersSpaces
    from homeserver.services.spaces.space_room import SpaceRoom

MAX_VISITS: Final = 5_000
"""Rooms that one walk looks at, seen or not."""
MAX_QUESTIONS: Final = 500
ASK_AHEAD: Final = 16
"""Rooms of one space about which other servers are asked together."""
PATIENCE_MS: Final = 20_000
"""After this no other server is asked: what is known is the answer."""


@dataclass(frozen=True, slots=True)
class _Step:
    room_id: str
    via: Sequence[str]
    depth: int


@dataclass(slots=True)
class Walk:
    """One walk. `known`: rooms that this server is in. `may_see`: what the one who asks may be told of."""

    local: LocalRooms
    elsewhere: OtherServersSpaces
    clock: Clock
    known: dict[str, SpaceRoom]
    may_see: Callable[[SpaceRoom], bool]
    max_depth: int
    suggested_only: bool
    _summaries: dict[str, SpaceRoom] = field(default_factory=dict)
    """Rooms by the word of the server of a space above them."""
    _closed: set[str] = field(default_factory=set)
    _questions: int = 0
    _patient_until_ms: int = 0

    async def rooms(self, root_id: str) -> AsyncGenerator[SpaceRoom, None]:
        """Each room once, spaces before what is in them. "Servers should gracefully break loops." """
        self._patient_until_ms = self.clock.now_ms() + PATIENCE_MS
        stack, seen, visits = [_Step(root_id, (), 0)], set[str](), 0
        while stack and visits < MAX_VISITS:
            step = stack.pop()
            if step.room_id in seen:
                continue
            seen.add(step.room_id)
            visits += 1
            room = await self._look(step)
            if room is None or not self.may_see(room):
                continue
            yield room
            if step.depth < self.max_depth:
                children = room.wanted_children(suggested_only=self.suggested_only)
                await self._ask_ahead([child for child in children if child.room_id not in seen])
                stack += [_Step(child.room_id, child.via, step.depth + 1) for child in reversed(children)]

    async def _look(self, step: _Step) -> SpaceRoom | None:
        """ "the local data should be used instead of the remote server's data" """
        room = self.known.get(step.room_id)
        if room is not None or step.room_id in self._closed:
            return room
        summary = self._summaries.get(step.room_id)
        if summary is not None and (not summary.is_space or step.depth >= self.max_depth):
            return summary
        answer = await self._ask(step.room_id, step.via)
        if answer is None:
            return summary
        await self._take_in(answer)
        return answer.room

    async def _ask(self, room_id: str, via: Sequence[str]) -> RemoteSpace | None:
        if not via or self._questions >= MAX_QUESTIONS or self.clock.now_ms() >= self._patient_until_ms:
            return None
        self._questions += 1
        return await self.elsewhere.ask(room_id, via)

    async def _ask_ahead(self, children: Sequence[Child]) -> None:
        """All servers at once; the answers are remembered until the walk comes there."""
        unknown = [each for each in children if not self._is_known(each.room_id)][:ASK_AHEAD]
        if len(unknown) > 1:
            await asyncio.gather(*(self._ask(each.room_id, each.via) for each in unknown))

    def _is_known(self, room_id: str) -> bool:
        return room_id in self.known or room_id in self._summaries or room_id in self._closed

    async def _take_in(self, answer: RemoteSpace) -> None:
        """What is below a space of another server may well be here."""
        below = [child.room_id for child in answer.room.children if child.room_id not in self.known]
        self.known |= await self.local.among(below)
        for room_id, room in answer.children.items():
            self._summaries.setdefault(room_id, room)
        self._closed |= answer.closed
