"""What one participant publishes: announced by `add_track`, alive from the offer that carries it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol import models

from voice.sfu.backend import Source
from voice.sfu.embedded.contracts import Codec, Kind
from voice.sfu.embedded.media import PublishedTrack
from voice.sfu.embedded.rooms.permission import SOURCE_NAME
from voice.sfu.embedded.rooms.sids import new_sid
from voice.sfu.embedded.sdp import Section


@dataclass(slots=True, eq=False, weakref_slot=True)
class Publication:
    """One track. `info` is what clients are told of it."""

    cid: str
    """The client's name for it: the track id in the msid of its offer."""
    info: Any
    participant_sid: str
    identity: str
    media: PublishedTrack | None = None
    """None until it was negotiated."""
    codec: Codec | None = None
    """With its publisher's payload type."""
    mid: str = ""
    offered_as: str = ""
    """The track id of its section, which not every client makes the cid."""
    followed: bool = False
    """Somebody has it; its publisher was told so."""
    forced_mute: bool = False
    """Muted by a moderator: the client cannot open it again."""

    @property
    def sid(self) -> str:
        return str(self.info.sid)

    @property
    def kind(self) -> Kind:
        return "audio" if self.info.type == models.AUDIO else "video"

    @property
    def source(self) -> Source | None:
        return SOURCE_NAME.get(self.info.source)

    def set_muted(self, muted: bool) -> None:
        self.info.muted = muted or self.forced_mute
        if self.media is not None:
            self.media.muted = self.info.muted


@dataclass(slots=True)
class Publications:
    participant_sid: str
    identity: str
    announced: dict[str, Publication] = field(default_factory=dict)
    """By cid."""
    live: dict[str, Publication] = field(default_factory=dict)
    """By track sid."""
    by_mid: dict[str, Publication] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.announced) + len(self.live)

    def __iter__(self) -> Iterator[Publication]:
        yield from self.announced.values()
        yield from self.live.values()

    def by_cid(self, cid: str) -> Publication | None:
        return next((track for track in self if track.cid == cid), None)

    def by_sid(self, sid: str) -> Publication | None:
        return next((track for track in self if track.sid == sid), None)

    def of_source(self, source: Source) -> list[Publication]:
        return [track for track in self if track.source == source]

    def announce(self, request: Any) -> Publication:
        publication = Publication(request.cid, _track_info(request), self.participant_sid, self.identity)
        self.announced[request.cid] = publication
        return publication

    def claims(self, sections: Sequence[Section]) -> dict[str, Publication]:
        """Mid -> the publication each sending section of an offer carries; those nobody announced are left out."""
        sending = [section for section in sections if section.sends and section.kind in ("audio", "video")]
        claimed: dict[str, Publication] = {}
        for find in (self._named, self._guess):
            for section in sending:
                taken = set(map(id, claimed.values()))
                found = None if section.mid in claimed else find(section, taken)
                if found is not None:
                    found.offered_as = section.track_id
                    claimed[section.mid] = found
        return claimed

    def _named(self, section: Section, taken: set[int]) -> Publication | None:
        known = self.by_mid.get(section.mid)
        if known is not None and known.offered_as == section.track_id and id(known) not in taken:
            return known
        words = (section.track_id, section.stream_id)
        free = (track for track in self if id(track) not in taken)
        return next((track for track in free if track.kind == section.kind and track.cid in words), None)

    def _guess(self, section: Section, taken: set[int]) -> Publication | None:
        """Clients exist whose msid does not name the cid, then the order tells; and a track may be replaced in place."""
        known = self.by_mid.get(section.mid)
        if known is not None and id(known) not in taken and not self.announced:
            return known
        free = (track for track in self.announced.values() if id(track) not in taken)
        return next((track for track in free if track.kind == section.kind), None)

    def start(self, publication: Publication, mid: str) -> None:
        self.announced.pop(publication.cid, None)
        if self.by_mid.get(publication.mid) is publication:
            del self.by_mid[publication.mid]
        publication.mid = publication.info.mid = mid
        self.live[publication.sid] = publication
        self.by_mid[mid] = publication

    def end(self, publication: Publication) -> None:
        self.announced.pop(publication.cid, None)
        self.live.pop(publication.sid, None)
        if self.by_mid.get(publication.mid) is publication:
            del self.by_mid[publication.mid]

    def infos(self) -> list[Any]:
        return [publication.info for publication in self.live.values()]


_COPIED = ("type", "name", "muted", "width", "height", "source", "disable_dtx", "stereo", "encryption", "stream")


def _track_info(request: Any) -> Any:
    mime_type = _mime_type(request)
    info = models.TrackInfo(sid=new_sid("TR_"), mime_type=mime_type, disable_red=True)
    for name in _COPIED:
        setattr(info, name, getattr(request, name))
    info.layers.extend(request.layers)
    info.simulcast = len(request.layers) > 1
    info.audio_features.extend(request.audio_features)
    info.codecs.add(mime_type=mime_type, cid=request.cid, layers=request.layers)
    return info


def _mime_type(request: Any) -> str:
    """Until the answer says which codec it is."""
    if request.type == models.AUDIO:
        return "audio/opus"
    named = [codec.codec.upper() for codec in request.simulcast_codecs]
    return "video/H264" if named[:1] == ["H264"] else "video/VP8"


def mime_type(kind: Kind, codec: str) -> str:
    return f"{kind}/{_SPELLING.get(codec.lower(), codec)}"


_SPELLING: Mapping[str, str] = {"opus": "opus", "vp8": "VP8", "h264": "H264"}
