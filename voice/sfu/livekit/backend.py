"""`SfuBackend` with LiveKit.

Webhooks tell at once who comes and goes; a poll of the rooms in use tells who is muted, and mends what got lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from voice import tokens
from voice.sfu.backend import (
    Changed,
    Grant,
    Joined,
    LeaveReason,
    Left,
    ParticipantState,
    RoomOptions,
    RoomsLost,
    SfuEvent,
    SfuListener,
    SfuUnavailable,
    Source,
)
from voice.sfu.livekit.cluster import Cluster, ClusterAddress
from voice.sfu.livekit.states import is_person, is_there, reason_of, state_of
from voice.sfu.livekit.void_tokens import VoidTokens
from voice.sfu.livekit.webhooks import read_webhook

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
LOST_AFTER_POLLS: Final = 3


@dataclass(slots=True)
class LiveKitBackend:
    """The first cluster serves rooms without a region. `now_s` is the wall clock, in seconds."""

    addresses: list[ClusterAddress]
    now_s: Callable[[], float]
    _clusters: dict[str, Cluster] = field(default_factory=dict)
    _listeners: list[SfuListener] = field(default_factory=list)
    _cluster_of: dict[str, str] = field(default_factory=dict)
    """Room -> region."""
    _people: dict[str, dict[str, ParticipantState]] = field(default_factory=dict)
    """Room -> identity -> as it was last told."""
    _failed_polls: dict[str, int] = field(default_factory=dict)
    _void: dict[str, VoidTokens] = field(default_factory=dict)
    """By region."""
    _sent_away: set[asyncio.Task[bool]] = field(default_factory=set)
    _poller: asyncio.Task[None] | None = None

    def on_event(self, listener: SfuListener) -> None:
        self._listeners.append(listener)

    async def start(self) -> None:
        """Does not wait for LiveKit: chat works without it."""
        for address in self.addresses:
            cluster = self._clusters[address.region] = Cluster(address)
            self._void[address.region] = VoidTokens(address.api_secret.encode())
            await cluster.open()
        self._poller = asyncio.create_task(self._poll(), name="livekit-poll")

    async def stop(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poller
        for cluster in self._clusters.values():
            await cluster.close()

    async def ensure_room(self, room: str, options: RoomOptions) -> str:
        cluster = self._clusters.get(options.region or "") or self._first()
        await cluster.make_room(room, options)
        self._cluster_of[room] = cluster.address.region
        return cluster.address.url

    def mint_token(self, grant: Grant) -> str:
        address, now_s = self._of(grant.room).address, self.now_s()
        stamped = self._void[address.region].stamped(grant, int(now_s * 1000))
        return tokens.mint(address.api_key, address.api_secret, stamped, now_s)

    async def participants(self, room: str) -> Sequence[ParticipantState]:
        found = await self._of(room).participants(room)
        return [state_of(each) for each in found if is_person(each) and is_there(each)]

    async def remove(self, room: str, identity: str, reason: LeaveReason = LeaveReason.REMOVED) -> bool:
        cluster = self._of(room)
        self._void[cluster.address.region].remove(room, identity, self._now_ms)
        removed = await cluster.remove(room, identity, int(self.now_s()))
        if removed:
            self._left(room, identity, reason)
        return removed

    async def mute(self, room: str, identity: str, source: Source, *, muted: bool = True) -> bool:
        return await self._of(room).mute(room, identity, source, muted=muted)

    async def permit(self, room: str, grant: Grant) -> bool:
        return await self._of(room).permit(room, grant)

    async def send_data(self, room: str, topic: str, payload: bytes, identities: Sequence[str] = ()) -> None:
        await self._of(room).send_data(room, topic, payload, identities)

    def report(self, body: bytes, authorization: str) -> None:
        """A webhook came in. Raises NotSigned (webhooks.py) for what none of our clusters said."""
        self._apply(read_webhook(body, authorization, self.addresses))

    # --- what is known ---------------------------------------------------------------------------------------

    @property
    def _now_ms(self) -> int:
        return int(self.now_s() * 1000)

    def _first(self) -> Cluster:
        return self._clusters[self.addresses[0].region]

    def _of(self, room: str) -> Cluster:
        return self._clusters[self._cluster_of.get(room, self.addresses[0].region)]

    def _apply(self, event: WebhookEvent) -> None:
        room, who = event.room.name, event.participant
        if event.event == "participant_joined" and is_person(who):
            self._seen(room, who)
        elif event.event in ("participant_left", "participant_connection_aborted"):
            known = self._people.get(room, {}).get(who.identity)
            # Somebody who joined again has another sid; the report of his first leave may come late.
            if known is not None and known.sid == who.sid:
                self._left(room, who.identity, reason_of(who))
        elif event.event == "room_finished":
            for identity in list(self._people.get(room, {})):
                self._left(room, identity, LeaveReason.ROOM_ENDED)
            self._cluster_of.pop(room, None)

    def _seen(self, room: str, info: models.ParticipantInfo) -> None:
        cluster = self._of(room)
        if self._void[cluster.address.region].is_void(room, info.identity, info.attributes, self._now_ms):
            task = asyncio.create_task(cluster.remove(room, info.identity, int(self.now_s())))
            self._sent_away.add(task)
            task.add_done_callback(self._was_sent_away)
            return
        self._note(room, state_of(info))

    def _was_sent_away(self, task: asyncio.Task[bool]) -> None:
        self._sent_away.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The next look at the room tries again.
            log.warning("somebody with a void token could not be sent away: %s", task.exception())

    def _note(self, room: str, state: ParticipantState) -> None:
        people = self._people.setdefault(room, {})
        known = people.get(state.identity)
        people[state.identity] = state
        if known is None:
            self._tell(Joined(room, state))
        elif known.sid != state.sid:
            self._tell(Left(room, known.identity, known.sid, LeaveReason.DUPLICATE))
            self._tell(Joined(room, state))
        elif known != state:
            self._tell(Changed(room, state))

    def _left(self, room: str, identity: str, reason: LeaveReason) -> None:
        people = self._people.get(room, {})
        known = people.pop(identity, None)
        if not people:
            self._people.pop(room, None)
        if known is not None:
            self._tell(Left(room, identity, known.sid, reason))

    def _tell(self, event: SfuEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed at an event of LiveKit")

    # --- the poll --------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            for region, cluster in self._clusters.items():
                try:
                    await self._look(cluster)
                    self._failed_polls[region] = 0
                except SfuUnavailable as error:
                    self._failed(region, error)
                except Exception:
                    log.exception("looking at LiveKit %s failed", region)
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, cluster: Cluster) -> None:
        """Rooms that were in use before we started, and those whose webhooks never came, are found too."""
        names = set(await cluster.room_names())
        for name in names:
            self._cluster_of.setdefault(name, cluster.address.region)
        rooms = [*names, *(room for room in self._people if room not in names and self._of(room) is cluster)]
        found = await asyncio.gather(*(cluster.participants(room) for room in rooms))
        for room, infos in zip(rooms, found, strict=True):
            self._compare(room, [each for each in infos if is_person(each)])

    def _compare(self, room: str, infos: Sequence[models.ParticipantInfo]) -> None:
        there = {each.identity: each for each in infos if is_there(each)}
        for identity in [each for each in self._people.get(room, {}) if each not in there]:
            self._left(room, identity, LeaveReason.VANISHED)
        for info in there.values():
            self._seen(room, info)

    def _failed(self, region: str, error: SfuUnavailable) -> None:
        failures = self._failed_polls[region] = self._failed_polls.get(region, 0) + 1
        if failures != LOST_AFTER_POLLS:
            return
        log.error("%s", error)
        lost = [room for room in self._people if self._cluster_of.get(room) == region]
        for room in lost:
            self._people.pop(room, None)
        if lost:
            self._tell(RoomsLost(lost))
