"""A room: who is in it, and who follows whose tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol import models, rtc

from voice.sfu.backend import Changed, Joined, Left, RoomOptions, SfuEvent
from voice.sfu.embedded.media import MediaRoom
from voice.sfu.embedded.rooms.data_packets import Routed
from voice.sfu.embedded.rooms.followings import Following
from voice.sfu.embedded.rooms.leaving import Farewell
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.news import News
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.publications import Publication
from voice.sfu.embedded.rooms.rate import Rate
from voice.sfu.embedded.rooms.sids import new_sid
from voice.sfu.embedded.rooms.turns import Turns


@dataclass(slots=True, eq=False)
class Room:
    name: str
    options: RoomOptions
    media: MediaRoom
    limits: RoomLimits
    now: Callable[[], int]
    """Monotonic ms."""
    created_wall_ms: int
    empty_since: int | None
    """Monotonic ms."""
    tell: Callable[[SfuEvent], None]
    turns: Turns
    sid: str = field(default_factory=lambda: new_sid("RM_"))
    people: dict[str, Participant] = field(default_factory=dict)
    """By sid."""
    by_identity: dict[str, Participant] = field(default_factory=dict)
    publications: dict[str, Publication] = field(default_factory=dict)
    """Those that are negotiated, by track sid."""
    news: News = field(init=False)
    datagrams: Rate = field(init=False)
    """Of data, to all."""
    _told_size: int = -1

    def __post_init__(self) -> None:
        self.news = News(self.limits, self.now, lambda: self.people.values(), self._tell_changes)
        most = self.limits.datagrams_per_room
        self.datagrams = Rate(most, most * self.limits.data_burst_seconds)

    def info(self) -> Any:
        return models.Room(
            sid=self.sid,
            name=self.name,
            empty_timeout=self.limits.empty_room // 1000,
            departure_timeout=self.limits.empty_room // 1000,
            max_participants=self.options.max_participants,
            creation_time=self.created_wall_ms // 1000,
            creation_time_ms=self.created_wall_ms,
            num_participants=len(self.people),
            num_publishers=sum(1 for participant in self.people.values() if participant.publications.live),
        )

    def size(self) -> int:
        return len(self.people)

    def is_full_for(self, identity: str) -> bool:
        """Who joins again takes his own place."""
        return identity not in self.by_identity and len(self.people) >= self.options.max_participants

    def set_options(self, options: RoomOptions) -> None:
        """Those who talk already negotiate anew where sound is to be sent in another way. Nobody is sent out."""
        before, self.options = self.options, options
        self.media.audio_bitrate = options.audio_bitrate
        if (before.audio_bitrate, before.audio_frame_ms) == (options.audio_bitrate, options.audio_frame_ms):
            return
        for participant in self.people.values():
            if participant.peer is not None and participant.publications.live:
                participant.peer.negotiate_soon()

    # --- people ------------------------------------------------------------------------------------------------

    def enter(self, participant: Participant) -> None:
        self.people[participant.sid] = participant
        self.by_identity[participant.identity] = participant
        self.empty_since = None
        self.news.of(participant)
        if participant.auto_subscribe:
            self.follow(participant, self.publications.values())

    def leave(self, participant: Participant, how: Farewell) -> None:
        """The caller says goodbye to the client itself."""
        participant.gone = True
        self.unpublish(participant, list(participant.publications))
        if participant.peer is not None:
            participant.peer.close()
        self.people.pop(participant.sid, None)
        if self.by_identity.get(participant.identity) is participant:
            del self.by_identity[participant.identity]
        self.news.of(participant)
        if not self.people:
            self.empty_since = self.now()
        if participant.told is not None:
            self.tell(Left(self.name, participant.identity, participant.sid, how.reason))

    def became_active(self, participant: Participant) -> None:
        if participant.active or participant.gone:
            return
        participant.active = True
        participant.told = participant.state()
        self.tell(Joined(self.name, participant.told))
        self.news.of(participant)

    def _tell_changes(self, changed: Iterable[Participant]) -> None:
        for participant in changed:
            if participant.told is None or participant.gone:
                continue
            state = participant.state()
            if state != participant.told:
                participant.told = state
                self.tell(Changed(self.name, state))

    # --- tracks ------------------------------------------------------------------------------------------------

    def publish(self, participant: Participant, publications: Sequence[Publication]) -> None:
        """They are negotiated: everybody hears of them, and those who want everything follow them."""
        if not publications:
            return
        for publication in publications:
            self.publications[publication.sid] = publication
        self.news.of(participant)
        for other in self.people.values():
            if other is not participant and other.auto_subscribe:
                self.follow(other, publications)

    def unpublish(self, participant: Participant, publications: Sequence[Publication]) -> None:
        if not publications:
            return
        for publication in publications:
            self.publications.pop(publication.sid, None)
            for other in self.people.values():
                self.unfollow(other, publication.sid)
                other.followings.settings.pop(publication.sid, None)
            if participant.peer is not None:
                participant.peer.end(publication)
            participant.signal.send(track_unpublished=rtc.TrackUnpublishedResponse(track_sid=publication.sid))
        self.news.of(participant)

    def follow(self, participant: Participant, publications: Iterable[Publication]) -> None:
        wanted = [publication for publication in publications if self._may_follow(participant, publication)]
        added = [publication for publication in wanted if participant.followings.add(publication)]
        if added and participant.peer is not None:
            participant.peer.negotiate_soon()

    def _may_follow(self, participant: Participant, publication: Publication) -> bool:
        publisher = self.people.get(publication.participant_sid)
        if publisher is None or publisher is participant or not participant.permission.can_subscribe:
            return False
        return publisher.audience.admits(participant.identity, participant.sid, publication.sid)

    def unfollow(self, participant: Participant, track_sid: str) -> Following | None:
        following = participant.followings.pop(track_sid)
        if following is not None and participant.peer is not None:
            participant.peer.stop(following)
        return following

    def tell_followed(self, publication: Publication) -> None:
        """Its publisher hears of the first who has it: some wait for that before they speak."""
        publisher = self.people.get(publication.participant_sid)
        if publisher is not None and not publication.followed:
            publication.followed = True
            publisher.signal.send(track_subscribed=rtc.TrackSubscribed(track_sid=publication.sid))

    def admit(self, publisher: Participant) -> None:
        """His audience has changed: who is left out loses his tracks, who is let in gets them."""
        for publication in publisher.publications.live.values():
            for other in self.people.values():
                if other is not publisher:
                    self._admit_one(publisher, other, publication)

    def _admit_one(self, publisher: Participant, other: Participant, publication: Publication) -> None:
        admitted = publisher.audience.admits(other.identity, other.sid, publication.sid)
        follows = publication.sid in other.followings.by_sid
        if follows and not admitted:
            self.unfollow(other, publication.sid)
        elif admitted and not follows and other.auto_subscribe:
            self.follow(other, [publication])
        if follows != admitted:
            update = rtc.SubscriptionPermissionUpdate(
                participant_sid=publisher.sid, track_sid=publication.sid, allowed=admitted
            )
            other.signal.send(subscription_permission_update=update)

    # --- data --------------------------------------------------------------------------------------------------

    def send_data(self, label: str, routed: Routed, sender: Participant | None) -> None:
        for other in self.people.values():
            if other is not sender and other.peer is not None and routed.is_for(other.identity, other.sid):
                other.peer.send_data(label, routed.payload)

    # --- from time to time -------------------------------------------------------------------------------------

    def tell_speakers(self) -> None:
        changed = [speaker for speaker in self.media.speakers() if speaker.participant_sid in self.people]
        if not changed:
            return
        infos = [
            models.SpeakerInfo(sid=speaker.participant_sid, level=speaker.level, active=speaker.active)
            for speaker in changed
        ]
        self.broadcast(speakers_changed=rtc.SpeakersChanged(speakers=infos))
        for speaker in changed:
            self.people[speaker.participant_sid].speaking = speaker.active
        self._tell_changes(self.people[speaker.participant_sid] for speaker in changed)

    def tell_size(self) -> None:
        if len(self.people) != self._told_size:
            self._told_size = len(self.people)
            self.broadcast(room_update=rtc.RoomUpdate(room=self.info()))

    def broadcast(self, **message: Any) -> None:
        """Serialised once for all, who are told in turns."""
        self.turns.add(self._tell_all(rtc.SignalResponse(**message).SerializeToString()))

    def _tell_all(self, packed: bytes) -> Iterator[None]:
        for participant in list(self.people.values()):
            participant.signal.send_packed(packed)
            yield

    def tell_each(self, messages: Mapping[str, Any], field_name: str) -> None:
        """By sid, each his own."""
        for sid, message in messages.items():
            if sid in self.people:
                self.people[sid].signal.send(**{field_name: message})

    def close(self) -> None:
        self.news.cancel()
