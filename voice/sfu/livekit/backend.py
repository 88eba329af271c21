"""`SfuBackend` with LiveKit.

Webhooks tell at once who comes and goes; a look at the rooms in use tells who is muted, and mends what got lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from voice import tokens
from voice.sfu.backend import (
    Grant,
    LeaveReason,
    ParticipantState,
    RoomOptions,
    SfuListener,
    SfuUnavailable,
    Source,
)
from voice.sfu.livekit.cluster import Cluster, ClusterAddress, ClusterNumbers
from voice.sfu.livekit.door import Door
from voice.sfu.livekit.errands import Errands
from voice.sfu.livekit.people import People, Sids
from voice.sfu.livekit.placements import Placements
from voice.sfu.livekit.silences import Silences
from voice.sfu.livekit.states import is_person, is_there, reason_of, state_of
from voice.sfu.livekit.void_tokens import VoidTokens
from voice.sfu.livekit.watch import LOOK_SECONDS, Watch
from voice.sfu.livekit.webhooks import check_signer, read_webhook


@dataclass(slots=True)
class LiveKitBackend:
    """The first cluster serves rooms without a region; there is at least one. `now_s` is the wall clock, in seconds.

    `watch` begins to tell of those who are there, also of those who were before our start: whoever listens has to know
    by then whose identities they are.
    """

    addresses: list[ClusterAddress]
    now_s: Callable[[], float] = time.time
    look_s: float = LOOK_SECONDS
    people: People = field(default_factory=People)
    placements: Placements = field(init=False)
    _void: VoidTokens = field(init=False)
    _silences: Silences = field(default_factory=Silences)
    _errands: Errands = field(default_factory=Errands)
    _door: Door = field(init=False)
    _watches: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.placements = Placements([Cluster(address) for address in self.addresses])
        self._void = VoidTokens(self.addresses[0].api_secret.encode())
        self._door = Door(self.placements, self.people, self._void, self._send_away, self._errands)
        self.people.listeners.append(self._silences.follow)

    # --- life ------------------------------------------------------------------------------------------------

    def on_event(self, listener: SfuListener) -> None:
        self.people.listeners.append(listener)

    async def start(self) -> None:
        """Does not wait for LiveKit: chat works without it."""
        for cluster in self.placements.clusters:
            await cluster.open()

    async def watch(self) -> None:
        """After `start`, and when all listeners are ready."""
        for cluster in self.placements.clusters:
            watch = Watch(cluster, self.placements, self.people, self._looked, self.look_s)
            self._watches.append(asyncio.create_task(watch.run(), name=f"livekit-{cluster.address.region}"))

    async def stop(self) -> None:
        """Calls go on at LiveKit."""
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        self._watches.clear()
        await self._errands.close()
        for cluster in self.placements.clusters:
            await cluster.close()

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {**self.people.memory_usage(), "placed": len(self.placements), "void_tokens": len(self._void)}

    def numbers(self) -> Mapping[str, ClusterNumbers]:
        """How the clusters do, by region."""
        return {cluster.address.region: cluster.numbers for cluster in self.placements.clusters}

    # --- verbs -----------------------------------------------------------------------------------------------

    async def ensure_room(self, room: str, options: RoomOptions) -> str:
        """A room stays at its cluster while somebody is in it, whatever region its channel gets."""
        before = self.placements.find(room)
        stays = before is not None and self.people.count(room) > 0
        cluster = before.cluster if before and stays else self.placements.of_region(options.region)
        await cluster.make_room(room)
        self.placements.put(room, cluster, options)
        if before is not None and before.cluster is not cluster:
            await self._end_elsewhere(before.cluster, room)
        return cluster.address.url

    def mint_token(self, grant: Grant) -> str:
        address, now_s = self.placements.of_room(grant.room).address, self.now_s()
        stamped = self._void.stamped(grant, int(now_s * 1000))
        return tokens.mint(address.api_key, address.api_secret, stamped, now_s)

    async def participants(self, room: str) -> Sequence[ParticipantState]:
        found = [info for cluster in self.placements.asked_for(room) for info in await cluster.participants(room)]
        return [state_of(each) for each in found if is_person(each) and is_there(each)]

    async def remove(self, room: str, identity: str, reason: LeaveReason = LeaveReason.REMOVED) -> bool:
        self._void.remove(room, identity, self._now_ms)
        self.people.expect(room, identity, reason)
        done = False
        try:
            done = await self._send_away(room, identity)
        finally:
            self.people.removed(room, identity, done=done)
        return done

    async def mute(self, room: str, identity: str, source: Source, *, muted: bool = True) -> bool:
        """Lifting it opens nothing: that is for whose microphone it is."""
        if not muted:
            self._silences.end(room, identity, source)
        elif self.people.has(room, identity):
            self._silences.begin(room, identity, source)
        return any(
            [await self._mute_at(each, room, identity, source, muted) for each in self.placements.asked_for(room)]
        )

    async def permit(self, room: str, grant: Grant) -> bool:
        return any([await each.permit(room, grant) for each in self.placements.asked_for(room)])

    async def send_data(self, room: str, topic: str, payload: bytes, identities: Sequence[str] = ()) -> None:
        # LiveKit waits for seconds for a room that nobody is in.
        if not (self.people.count(room) or await self.participants(room)):
            return
        for cluster in self.placements.asked_for(room):
            await cluster.send_data(room, topic, payload, identities)

    # --- reports ---------------------------------------------------------------------------------------------

    def check(self, authorization: str) -> None:
        """Before the body of a report is read. Raises NotSigned (webhooks.py) where none of our clusters sends it."""
        check_signer(authorization, self.addresses)

    def report(self, body: bytes, authorization: str) -> None:
        """A webhook came in. Raises NotSigned for what none of our clusters said."""
        self._apply(read_webhook(body, authorization, self.addresses))

    def _apply(self, event: WebhookEvent) -> None:
        room, who = event.room.name, event.participant
        if event.event == "participant_joined" and is_person(who):
            self._seen(room, who)
        elif event.event in ("participant_left", "participant_connection_aborted"):
            self.people.left(room, who.identity, who.sid, reason_of(who))
        elif event.event == "track_published":
            self._hush(room, models.ParticipantInfo(identity=who.identity, tracks=[event.track]))
        elif event.event == "room_finished":
            self.people.emptied(room, LeaveReason.ROOM_ENDED)

    def _looked(self, room: str, before: Sids, infos: Sequence[models.ParticipantInfo]) -> None:
        there = [each for each in infos if is_person(each) and is_there(each)]
        let_in = [each for each in there if self._door.lets_in(room, each, self._now_ms)]
        self.people.compare(room, before, [state_of(each) for each in let_in])
        for info in let_in:
            self._hush(room, info)

    def _seen(self, room: str, info: models.ParticipantInfo) -> None:
        if self._door.lets_in(room, info, self._now_ms):
            self.people.seen(room, state_of(info))

    def _hush(self, room: str, info: models.ParticipantInfo) -> None:
        """He has opened again what a moderator closed."""
        for track in self._silences.broken(room, info):
            self._errands.run(self.placements.of_room(room).mute(room, info.identity, track.sid))

    @property
    def _now_ms(self) -> int:
        return int(self.now_s() * 1000)

    async def _send_away(self, room: str, identity: str) -> bool:
        until_s = int(self.now_s())
        return any([await each.remove(room, identity, until_s) for each in self.placements.asked_for(room)])

    async def _mute_at(self, cluster: Cluster, room: str, identity: str, source: Source, muted: bool) -> bool:
        tracks = await cluster.tracks(room, identity, source)
        done = [await cluster.mute(room, identity, each.sid) for each in tracks if muted]
        return any(done) if muted else bool(tracks)

    async def _end_elsewhere(self, cluster: Cluster, room: str) -> None:
        with contextlib.suppress(SfuUnavailable):  # whoever is still found there is sent away by the watch
            await cluster.end_room(room)
