"""Protocol v1: one peer connection, and only the client offers.

What it follows is answered into the sections it offers to receive in. Where there are too few, or where its sections have
to be answered anew, it is asked for an offer with `media_sections_requirement`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol import rtc

from voice.sfu.embedded.contracts import SentSection
from voice.sfu.embedded.rooms.followings import Following
from voice.sfu.embedded.rooms.pacing import Pacing
from voice.sfu.embedded.rooms.peer import PeerEvents, Quality
from voice.sfu.embedded.rooms.peer_setting import PeerSetting
from voice.sfu.embedded.rooms.publications import Publication
from voice.sfu.embedded.rooms.publishing import Publishing
from voice.sfu.embedded.rooms.quality import quality_of
from voice.sfu.embedded.rooms.sending import Sending, sent_track
from voice.sfu.embedded.rooms.wire import Wire
from voice.sfu.embedded.sdp import Description, Section, SectionPlan, answer


@dataclass(slots=True)
class SinglePeer:
    setting: PeerSetting
    events: PeerEvents
    wire: Wire = field(init=False)
    publishing: Publishing = field(init=False)
    sending: Sending = field(init=False)
    pacing: Pacing = field(init=False)
    _free: Counter[str] = field(default_factory=Counter)
    """Sections of the last offer that carry nothing, by kind."""
    _left: set[str] = field(default_factory=set)
    """Mids whose track ended since the last answer: they have to be answered inactive before they carry another one."""
    _asked_at: int | None = None
    """When the client was asked for an offer that has not come."""

    def __post_init__(self) -> None:
        setting = self.setting
        self.wire = Wire(setting.port, self.events.connected, self.events.failed, data_arrived=self.events.data_arrived)
        receiver = setting.new_receiver(self.wire.transport)
        sender = setting.new_sender(self.wire.transport)
        self.publishing = Publishing(setting.media, receiver, setting.publications, setting.priority)
        self.sending = Sending(sender)
        self.pacing = Pacing(setting.limits, setting.now, setting.room_size, self._ask)
        self.wire.rtp_arrived = receiver.rtp
        self.wire.rtcp_arrived = self._rtcp_arrived

    def _rtcp_arrived(self, packet: bytes) -> None:
        self.publishing.receiver.rtcp(packet)
        self.sending.sender.rtcp(packet)

    @property
    def silent_ms(self) -> int:
        return self.wire.transport.silent_ms

    # --- negotiation -------------------------------------------------------------------------------------------

    def offer_arrived(self, offer: Any) -> None:
        self._asked_at = None
        description = self.wire.read_offer(offer.sdp)
        claims, plans = self.publishing.plans(description, self.setting.audio())
        self._take_back(description)
        sends = self._place(description, plans)
        answered = answer(description, self.wire.local(), plans | _send_plans(sends))
        self._send_answer(offer.id, answered.text, sends, answered.sent)
        settled = self.publishing.settle(claims, answered.received)
        self._start(sends, answered.sent)
        self._left.clear()
        self.pacing.negotiated()
        self.events.unpublished(settled.ended)
        self.events.published(settled.started)
        if self.setting.followings.waiting():
            self.pacing.soon()

    def _take_back(self, offer: Description) -> None:
        """A section the client closed carries nothing any more; what it carried waits for another one."""
        open_mids = {section.mid for section in offer.sections if section.receives}
        for following in self.setting.followings:
            if following.mid and following.mid not in open_mids:
                self.sending.stop(following)
                following.mid = ""

    def _place(self, offer: Description, receiving: Mapping[str, SectionPlan]) -> dict[str, Following]:
        """Every following its section: the one it has, or a free one."""
        placed = self.setting.followings.placed()
        free = [section for section in offer.sections if self._is_free(section, placed, receiving)]
        for following in self.setting.followings.waiting():
            section = next((section for section in free if section.kind == following.kind), None)
            if section is not None and following.publication.media is not None:
                free.remove(section)
                following.mid = section.mid
                placed[section.mid] = following
        self._free = Counter(str(section.kind) for section in free)
        return placed

    def _is_free(self, section: Section, placed: Mapping[str, Following], receiving: Mapping[str, SectionPlan]) -> bool:
        taken = section.mid in placed or section.mid in receiving or section.mid in self._left
        return section.receives and not section.sends and not taken

    def _send_answer(
        self, number: int, text: str, sends: Mapping[str, Following], sent: Mapping[str, SentSection]
    ) -> None:
        tracks = {mid: sends[mid].publication.sid for mid in sent}
        description = rtc.SessionDescription(type="answer", sdp=text, id=number, mid_to_track_id=tracks)
        self.setting.send(answer=description)

    def _start(self, sends: Mapping[str, Following], sent: Mapping[str, SentSection]) -> None:
        for mid, following in sends.items():
            if mid in sent:
                self.sending.start(following, sent[mid], self.setting.followings)
                self.events.followed(following)
            else:
                self.events.unsupported(following)

    def answer_arrived(self, answer: Any) -> None:
        """We never offer in this protocol, so there is nothing to answer."""

    def negotiate_soon(self) -> None:
        self.pacing.soon()

    def _ask(self) -> None:
        if self._asked_at is not None:
            return  # the offer under way will do, and what it lacks is asked for after it
        waiting = Counter(following.kind for following in self.setting.followings.waiting())
        self._asked_at = self.setting.now()
        self.setting.send(
            media_sections_requirement=rtc.MediaSectionsRequirement(
                num_audios=max(0, waiting["audio"] - self._free["audio"]),
                num_videos=max(0, waiting["video"] - self._free["video"]),
            )
        )

    def tick(self) -> None:
        asked_at = self._asked_at
        if asked_at is not None and self.setting.now() - asked_at > self.setting.limits.negotiation_retry:
            self._asked_at = None
            self._ask()

    def resumed(self) -> None:
        """The client restarts ICE with its next offer; what it was asked for before may have been lost."""
        if self._asked_at is not None or self._left or self.setting.followings.waiting():
            self._asked_at = None
            self.pacing.soon()

    # --- tracks ------------------------------------------------------------------------------------------------

    def stop(self, following: Following) -> None:
        self.sending.stop(following)
        if following.mid:
            self._left.add(following.mid)
            following.mid = ""
            self.pacing.soon()

    def end(self, publication: Publication) -> None:
        self.publishing.end(publication)

    def qualities(self) -> Sequence[Quality]:
        return quality_of(self.publishing.receiver, self.sending.sender)

    def send_data(self, label: str, payload: bytes) -> bool:
        return self.wire.transport.send_data(label, payload)

    def close(self) -> None:
        self.pacing.cancel()
        for following in self.setting.followings:
            self.sending.stop(following)
        self.sending.close()
        self.publishing.close()
        self.wire.close()


def _send_plans(sends: Mapping[str, Following]) -> dict[str, SectionPlan]:
    return {mid: SectionPlan(send=sent_track(following.publication)) for mid, following in sends.items()}
