"""One participant's session: what his client asks for, and what his peer connections tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from livekit.protocol import models, rtc

from voice.sfu.backend import LeaveReason, Source
from voice.sfu.embedded.media.audio_track import AudioTrack
from voice.sfu.embedded.rooms import attributes, audience
from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.data_packets import routed
from voice.sfu.embedded.rooms.followings import Following, TrackSetting
from voice.sfu.embedded.rooms.leaving import BAD_NEGOTIATION, Farewell, farewell
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.permission import Permission
from voice.sfu.embedded.rooms.publications import Publication
from voice.sfu.embedded.rooms.rate import Rate
from voice.sfu.embedded.rooms.room import Room
from voice.sfu.embedded.rooms.signal import Signal
from voice.sfu.embedded.sdp import SdpError


@dataclass(slots=True, eq=False)
class Session:
    """Requests come as the protobuf messages of LiveKit's SignalRequest."""

    room: Room
    participant: Participant
    limits: RoomLimits
    clock: Clock
    end: Callable[[Farewell], None]
    """Say goodbye to the client, and take him out of the room."""
    _data_packets: Rate = field(init=False)
    _data_bytes: Rate = field(init=False)
    _datagrams: Rate = field(init=False)
    _updates: Rate = field(init=False)
    _handlers: Mapping[str, Callable[[Any], None]] = field(init=False)

    def __post_init__(self) -> None:
        limits = self.limits
        packets, size, seconds = limits.data_packets_per_second, limits.data_bytes_per_second, limits.data_burst_seconds
        self._data_packets = Rate(packets, packets * seconds)
        self._data_bytes = Rate(size, size * seconds)
        self._datagrams = Rate(limits.datagrams_per_sender, limits.datagrams_per_sender * seconds)
        self._updates = Rate(limits.updates_of_oneself_per_second, limits.updates_of_oneself_burst)
        self._handlers = {
            "offer": self._offer,
            "answer": self._answer,
            "add_track": self.add_track,
            "mute": self._mute,
            "subscription": self._subscription,
            "track_setting": self._track_setting,
            "subscription_permission": self._subscription_permission,
            "update_metadata": self._update_metadata,
            "leave": self._leave,
            "ping": self._ping,
            "ping_req": self._ping_req,
        }

    def handle(self, request: Any) -> None:
        """A SignalRequest; kinds we do not know are skipped, for clients are newer than we are.

        `trickle` is one of them: with ICE-lite, clients find us and not the other way round.
        """
        self.participant.heard_at = self.clock.monotonic_ms()
        kind = request.WhichOneof("message")
        handler = self._handlers.get(kind)
        if handler is not None and not self.participant.gone:
            handler(getattr(request, kind))

    def lost(self, signal: Signal) -> None:
        """His WebSocket ended without a `leave`; he may come back with another one."""
        participant = self.participant
        if participant.signal is not signal or participant.gone:
            return
        if participant.media_failed_at is not None:
            self.end(farewell(LeaveReason.LEFT))  # he closed both
        else:
            participant.lose_signal(self.clock.monotonic_ms())

    # --- negotiation -------------------------------------------------------------------------------------------

    def negotiate_first(self, offer: Any) -> None:
        """The offer that came with the request to join."""
        self._offer(offer)

    def _offer(self, offer: Any) -> None:
        self._negotiate("offer_arrived", offer)

    def _answer(self, answer: Any) -> None:
        self._negotiate("answer_arrived", answer)

    def _negotiate(self, verb: str, description: Any) -> None:
        peer = self.participant.peer
        try:
            getattr(peer, verb)(description)
        except SdpError:
            self.end(BAD_NEGOTIATION)

    # --- what he publishes -------------------------------------------------------------------------------------

    def add_track(self, request: Any) -> None:
        publications = self.participant.publications
        known = publications.by_cid(request.cid)
        if known is not None:
            self.send(track_published=rtc.TrackPublishedResponse(cid=request.cid, track=known.info))
            return
        refusal = self._why_not(request)
        if refusal is not None:
            self.send(request_response=rtc.RequestResponse(reason=refusal[0], message=refusal[1], add_track=request))
            return
        publication = publications.announce(request)
        publication.forced_mute = publication.source in self.participant.forced_mutes
        publication.set_muted(request.muted)
        self.send(track_published=rtc.TrackPublishedResponse(cid=request.cid, track=publication.info))
        if publication.forced_mute:
            self._tell_mute(publication)

    def _why_not(self, request: Any) -> tuple[Any, str] | None:
        if request.type not in (models.AUDIO, models.VIDEO) or not request.cid:
            return rtc.RequestResponse.UNSUPPORTED_TYPE, "tracks are audio or video, and have a cid"
        if not self.participant.permission.may_publish(request.source):
            return rtc.RequestResponse.NOT_ALLOWED, "does not have permission to publish"
        if len(self.participant.publications) >= self.limits.tracks_per_participant:
            return rtc.RequestResponse.LIMIT_EXCEEDED, "too many tracks"
        if request.ByteSize() > self.limits.track:
            return rtc.RequestResponse.LIMIT_EXCEEDED, "too much to say of a track"
        return None

    def _mute(self, request: Any) -> None:
        publication = self.participant.publications.by_sid(request.sid)
        if publication is None:
            return
        publication.set_muted(request.muted)
        if publication.info.muted != request.muted:
            self._tell_mute(publication)
        self.room.news.of(self.participant)

    def _tell_mute(self, publication: Publication) -> None:
        self.send(mute=rtc.MuteTrackRequest(sid=publication.sid, muted=publication.info.muted))

    def force_mute(self, source: Source, *, muted: bool) -> bool:
        """By a moderator. Lifting it does not open a microphone: that is for whose it is."""
        forced = self.participant.forced_mutes
        (forced.add if muted else forced.discard)(source)
        tracks = self.participant.publications.of_source(source)
        for publication in tracks:
            publication.forced_mute = muted
            publication.set_muted(publication.info.muted)
            if muted:
                self._tell_mute(publication)
        self.room.news.of(self.participant)
        return bool(tracks)

    def permit(self, permission: Permission) -> None:
        """What he may do from now on; tracks that are no longer allowed end."""
        self.participant.permission = permission
        tracks = self.participant.publications
        self.room.unpublish(
            self.participant, [track for track in tracks if not permission.may_publish(track.info.source)]
        )
        if not permission.can_subscribe:
            for track_sid in list(self.participant.followings.by_sid):
                self.room.unfollow(self.participant, track_sid)
        elif self.participant.auto_subscribe:
            self.room.follow(self.participant, self.room.publications.values())
        self.room.news.of(self.participant, himself=True)

    def prioritise(self, priority: bool) -> None:
        """Heard however many talk, or not any more; tracks that are open already as well."""
        self.participant.priority = priority
        for publication in self.participant.publications:
            if isinstance(publication.media, AudioTrack):
                publication.media.priority = priority

    # --- what he follows ---------------------------------------------------------------------------------------

    def _subscription(self, request: Any) -> None:
        of_participants = (sid for tracks in request.participant_tracks for sid in tracks.track_sids)
        for track_sid in islice(chain(request.track_sids, of_participants), self.limits.names):
            if request.subscribe:
                self._subscribe(track_sid)
            else:
                self.room.unfollow(self.participant, track_sid)

    def _subscribe(self, track_sid: str) -> None:
        publication = self.room.publications.get(track_sid)
        if publication is not None:
            self.room.follow(self.participant, [publication])
        else:
            missing = rtc.SubscriptionResponse(track_sid=track_sid, err=models.SE_TRACK_NOTFOUND)
            self.send(subscription_response=missing)

    def _track_setting(self, request: Any) -> None:
        setting = TrackSetting(request.disabled, request.quality, request.width, request.height, request.fps)
        for track_sid in request.track_sids[: self.limits.names]:
            self.participant.followings.set(track_sid, setting)

    def _subscription_permission(self, request: Any) -> None:
        self.participant.audience = audience.of_request(request, self.limits.names)
        self.room.admit(self.participant)

    # --- who he is ---------------------------------------------------------------------------------------------

    def _update_metadata(self, request: Any) -> None:
        wished = attributes.merged(self.participant.attributes, attributes.settable(request.attributes))
        too_much = (
            len(request.metadata) > self.limits.metadata
            or len(request.name) > self.limits.name
            or not attributes.fits(wished, self.limits)
            or not self._updates.take(self.clock.monotonic_ms())
        )
        reason = rtc.RequestResponse.LIMIT_EXCEEDED if too_much else rtc.RequestResponse.OK
        if not too_much:
            self.participant.attributes = wished
            self.participant.metadata = request.metadata or self.participant.metadata
            self.participant.name = request.name or self.participant.name
            self.room.news.of(self.participant, himself=True)
        self.send(request_response=rtc.RequestResponse(request_id=request.request_id, reason=reason))

    # --- being there -------------------------------------------------------------------------------------------

    def _leave(self, _: Any) -> None:
        self.end(farewell(LeaveReason.LEFT))

    def _ping(self, _: int) -> None:
        self.send(pong=self.clock.wall_ms())

    def _ping_req(self, request: Any) -> None:
        self.send(pong_resp=rtc.Pong(last_ping_timestamp=request.timestamp, timestamp=self.clock.wall_ms()))

    def send(self, **message: Any) -> None:
        """To the WebSocket he has now."""
        self.participant.signal.send(**message)

    # --- PeerEvents --------------------------------------------------------------------------------------------

    def connected(self) -> None:
        self.room.became_active(self.participant)

    def failed(self, reason: str) -> None:
        """Clients that leave close their media first, and say so a moment later."""
        if self.participant.media_failed_at is None:
            self.participant.media_failed_at = self.clock.monotonic_ms()

    def published(self, publications: Sequence[Publication]) -> None:
        self.room.publish(self.participant, publications)

    def unpublished(self, publications: Sequence[Publication]) -> None:
        self.room.unpublish(self.participant, publications)

    def followed(self, following: Following) -> None:
        self.room.tell_followed(following.publication)

    def unsupported(self, following: Following) -> None:
        track_sid = following.publication.sid
        self.room.unfollow(self.participant, track_sid)
        refused = rtc.SubscriptionResponse(track_sid=track_sid, err=models.SE_CODEC_UNSUPPORTED)
        self.send(subscription_response=refused)

    def data_arrived(self, label: str, payload: bytes) -> None:
        participant, now = self.participant, self.clock.monotonic_ms()
        if participant.gone or not participant.permission.can_publish_data or len(payload) > self.limits.data_packet:
            return
        if not self._data_packets.take(now) or not self._data_bytes.take(now, len(payload)):
            return
        packet = routed(label, payload, participant.identity, participant.sid)
        if packet is not None and self._may_send_on(packet.payload, now):
            self.room.send_data(label, packet, participant)

    def _may_send_on(self, payload: bytes, now: int) -> bool:
        """Sending a message to everybody costs a worker more than its sender: all pieces for all are counted."""
        datagrams = self.room.size() * (1 + len(payload) // self.limits.datagram)
        datagrams = min(datagrams, self.limits.datagrams_per_sender)  # so that one can always leave, in any room
        return self._datagrams.take(now, datagrams) and self.room.datagrams.take(now, datagrams)
