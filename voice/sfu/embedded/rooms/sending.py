"""Tracks on their way to one participant."""

from __future__ import annotations

from dataclasses import dataclass

from voice.sfu.embedded.contracts import SentSection
from voice.sfu.embedded.media import Sender
from voice.sfu.embedded.rooms.followings import Following, Followings
from voice.sfu.embedded.rooms.publications import Publication
from voice.sfu.embedded.sdp import SentTrack


def sent_track(publication: Publication) -> SentTrack:
    """As descriptions name it. The publication has been negotiated."""
    media, codec = publication.media, publication.codec
    assert media is not None
    assert codec is not None
    rtx_ssrc = media.rtx_ssrc if publication.kind == "video" else None
    return SentTrack(publication.participant_sid, publication.sid, codec, media.ssrc, rtx_ssrc)


@dataclass(slots=True)
class Sending:
    sender: Sender

    def start(self, following: Following, section: SentSection, followings: Followings) -> None:
        """One that flows already goes on, perhaps with another payload type."""
        media = following.publication.media
        if following.flow is None and media is not None:
            followings.started(following, self.sender.subscribe(media, section))
        elif following.flow is not None and following.section != section:
            following.flow.renegotiated(section)
        following.section = section

    def stop(self, following: Following) -> None:
        if following.flow is not None:
            self.sender.unsubscribe(following.flow)
            following.flow = None

    def close(self) -> None:
        self.sender.close()
