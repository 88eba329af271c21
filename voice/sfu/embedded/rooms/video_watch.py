"""Video changes clients are told of: which qualities anybody wants (dynacast), and which streams pause for bandwidth."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from livekit.protocol import models, rtc

from voice.sfu.embedded.rooms.followings import Following
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.publications import Publication
from voice.sfu.embedded.rooms.room import Room

_QUALITIES = (models.LOW, models.MEDIUM, models.HIGH)


@dataclass(slots=True)
class VideoWatch:
    _wanted: WeakKeyDictionary[Publication, int | None] = field(default_factory=WeakKeyDictionary)
    _paused: WeakKeyDictionary[Following, bool] = field(default_factory=WeakKeyDictionary)

    def look(self, room: Room) -> None:
        videos = [publication for publication in room.publications.values() if publication.kind == "video"]
        for publication in videos:
            self._tell_wanted(room, publication)
        if not videos:
            return  # a hundred people who all hear each other have ten thousand followings
        for participant in room.people.values():
            self._tell_paused(room, participant)

    def _tell_wanted(self, room: Room, publication: Publication) -> None:
        publisher = room.people.get(publication.participant_sid)
        if publication.media is None or publisher is None:
            return
        highest = publication.media.wanted()
        if self._wanted.get(publication, models.HIGH) == highest:
            return
        self._wanted[publication] = highest
        qualities = [
            rtc.SubscribedQuality(quality=quality, enabled=highest is not None and quality <= highest)
            for quality in _QUALITIES
        ]
        codec = rtc.SubscribedCodec(
            codec=publication.info.mime_type.removeprefix("video/").lower(), qualities=qualities
        )
        publisher.signal.send(
            subscribed_quality_update=rtc.SubscribedQualityUpdate(
                track_sid=publication.sid, subscribed_qualities=qualities, subscribed_codecs=[codec]
            )
        )

    def _tell_paused(self, room: Room, participant: Participant) -> None:
        changed = [following for following in participant.followings if self._pause_changed(following)]
        if not changed:
            return
        states = [
            rtc.StreamStateInfo(
                participant_sid=following.publication.participant_sid,
                track_sid=following.publication.sid,
                state=rtc.PAUSED if self._paused[following] else rtc.ACTIVE,
            )
            for following in changed
        ]
        participant.signal.send(stream_state_update=rtc.StreamStateUpdate(stream_states=states))

    def _pause_changed(self, following: Following) -> bool:
        if following.flow is None or following.kind != "video":
            return False
        paused = following.flow.stream_paused
        if self._paused.get(following, False) == paused:
            return False
        self._paused[following] = paused
        return True
