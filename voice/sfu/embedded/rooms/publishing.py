"""From the offer of a client to tracks whose packets are taken: the publishing side of both protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from livekit.protocol import models

from voice.sfu.backend import Source
from voice.sfu.embedded.contracts import Kind, ReceivedSection
from voice.sfu.embedded.media import MediaRoom, Receiver
from voice.sfu.embedded.rooms.publications import Publication, Publications, mime_type
from voice.sfu.embedded.sdp import AudioPolicy, Description, SectionPlan

_SOURCELESS: Mapping[Kind, Source] = {"audio": "microphone", "video": "camera"}
"""What a track counts as for media when its client does not say."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What an offer changed."""

    started: list[Publication] = field(default_factory=list)
    ended: list[Publication] = field(default_factory=list)


@dataclass(slots=True)
class Publishing:
    media: MediaRoom
    receiver: Receiver
    publications: Publications
    priority: Callable[[], bool]
    _received: dict[str, ReceivedSection] = field(default_factory=dict)

    def plans(self, offer: Description, audio: AudioPolicy) -> tuple[dict[str, Publication], dict[str, SectionPlan]]:
        """Which publication each section carries, and the plans to receive them."""
        claims = self.publications.claims(offer.sections)
        return claims, {
            mid: SectionPlan(receive=True, audio=_as_announced(publication, audio))
            for mid, publication in claims.items()
        }

    def settle(self, claims: Mapping[str, Publication], received: Mapping[str, ReceivedSection]) -> Settled:
        settled = Settled()
        carried = {mid: publication for mid, publication in claims.items() if mid in received}
        staying = set(map(id, carried.values()))
        lost = [*self.publications.by_mid.values(), *claims.values()]
        settled.ended.extend(dict.fromkeys(publication for publication in lost if id(publication) not in staying))
        for publication in settled.ended:
            self._end(publication)
        for mid, publication in carried.items():
            self._carry(publication, received[mid], settled)
        self._received = {mid: received[mid] for mid in carried}
        self._update()
        return settled

    def _carry(self, publication: Publication, section: ReceivedSection, settled: Settled) -> None:
        if publication.media is None:
            publication.codec = section.codecs[0]
            publication.info.mime_type = mime_type(section.kind, publication.codec.name)
            publication.info.codecs[0].mime_type = publication.info.mime_type
            self._open(publication)
            settled.started.append(publication)
        self.publications.start(publication, section.mid)

    def _open(self, publication: Publication) -> None:
        publication.media = self.media.publish(
            publication.sid,
            publication.participant_sid,
            publication.kind,
            publication.source or _SOURCELESS[publication.kind],
            priority=self.priority(),
        )
        publication.set_muted(publication.info.muted)

    def end(self, publication: Publication) -> None:
        """Take no more of it, though its section is still there."""
        if self.publications.by_mid.get(publication.mid) is publication:
            self._received.pop(publication.mid, None)
        self._end(publication)
        self._update()

    def _end(self, publication: Publication) -> None:
        self.publications.end(publication)
        if publication.media is not None:
            self.media.unpublish(publication.media)
            publication.media = None

    def _update(self) -> None:
        tracks = self.publications.by_mid
        self.receiver.update(
            [(section, media) for mid, section in self._received.items() if (media := tracks[mid].media) is not None]
        )

    def close(self) -> None:
        for publication in list(self.publications):
            self._end(publication)
        self.receiver.close()


def _as_announced(publication: Publication, audio: AudioPolicy) -> AudioPolicy:
    """`add_track` says whether a track has two channels, and whether its silences may be left out."""
    info = publication.info
    stereo = info.stereo or models.TF_STEREO in info.audio_features
    return replace(audio, stereo=stereo, dtx=not (info.disable_dtx or models.TF_NO_DTX in info.audio_features))
