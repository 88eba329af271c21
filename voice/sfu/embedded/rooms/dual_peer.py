"""Protocol v0: one peer connection the client publishes on, and one where we offer what it follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol import rtc

from voice.sfu.embedded.rooms.followings import Following
from voice.sfu.embedded.rooms.pacing import Pacing
from voice.sfu.embedded.rooms.peer import PeerEvents, Quality
from voice.sfu.embedded.rooms.peer_setting import PeerSetting
from voice.sfu.embedded.rooms.publications import Publication
from voice.sfu.embedded.rooms.publishing import Publishing
from voice.sfu.embedded.rooms.quality import quality_of
from voice.sfu.embedded.rooms.sending import Sending, sent_track
from voice.sfu.embedded.rooms.wire import Wire
from voice.sfu.embedded.sdp import answer
from voice.sfu.embedded.sdp.offering import SubscriberSections

RELIABLE, LOSSY = "_reliable", "_lossy"


@dataclass(slots=True)
class DualPeer:
    setting: PeerSetting
    events: PeerEvents
    publisher: Wire = field(init=False)
    subscriber: Wire = field(init=False)
    publishing: Publishing = field(init=False)
    sending: Sending = field(init=False)
    pacing: Pacing = field(init=False)
    _sections: SubscriberSections = field(default_factory=SubscriberSections)
    _offered_at: int | None = None
    """When the offer under way was sent; there is one at a time."""
    _offered: dict[str, Following] = field(default_factory=dict)
    """What it carries, by mid."""
    _number: int = 0
    _changed: bool = False
    """More is followed, or less, since the offer under way."""

    def __post_init__(self) -> None:
        setting, events = self.setting, self.events
        self.publisher = Wire(setting.port, lambda: None, events.failed, data_arrived=events.data_arrived)
        # The client calls itself connected when the subscriber's connection is (`subscriber_primary`).
        self.subscriber = Wire(setting.port, self._connected, events.failed, data_arrived=events.data_arrived)
        receiver = setting.new_receiver(self.publisher.transport)
        sender = setting.new_sender(self.subscriber.transport)
        self.publishing = Publishing(setting.media, receiver, setting.publications, setting.priority)
        self.sending = Sending(sender)
        self.pacing = Pacing(setting.limits, setting.now, setting.room_size, self._offer)
        self.publisher.rtp_arrived = receiver.rtp
        self.publisher.rtcp_arrived = receiver.rtcp
        self.subscriber.rtcp_arrived = sender.rtcp

    def _connected(self) -> None:
        self.subscriber.transport.open_channel(RELIABLE, reliable=True)
        self.subscriber.transport.open_channel(LOSSY, reliable=False)
        self.events.connected()

    @property
    def silent_ms(self) -> int:
        return min(self.publisher.transport.silent_ms, self.subscriber.transport.silent_ms)

    # --- what the client publishes -----------------------------------------------------------------------------

    def offer_arrived(self, offer: Any) -> None:
        description = self.publisher.read_offer(offer.sdp)
        claims, plans = self.publishing.plans(description, self.setting.audio())
        answered = answer(description, self.publisher.local(), plans)
        self.setting.send(answer=rtc.SessionDescription(type="answer", sdp=answered.text, id=offer.id))
        settled = self.publishing.settle(claims, answered.received)
        self.events.unpublished(settled.ended)
        self.events.published(settled.started)

    # --- what it follows ---------------------------------------------------------------------------------------

    def negotiate_soon(self) -> None:
        self._changed = True
        self.pacing.soon()

    def start(self) -> None:
        """The first offer goes at once: the client connects with it, even where there is nothing to hear."""
        self._offer()

    def _offer(self) -> None:
        if self._offered_at is not None:
            return  # one at a time; its answer brings the next
        followed = {following.publication.sid: following for following in self.setting.followings}
        offer = self._sections.offer(
            self.subscriber.local(), [sent_track(following.publication) for following in followed.values()]
        )
        self._offered = {mid: followed[track_sid] for mid, track_sid in offer.tracks.items()}
        for mid, following in self._offered.items():
            following.mid = mid
        self._number += 1
        self._changed, self._offered_at = False, self.setting.now()
        self.setting.send(
            offer=rtc.SessionDescription(type="offer", sdp=offer.text, id=self._number, mid_to_track_id=offer.tracks)
        )

    def answer_arrived(self, answer: Any) -> None:
        if self._offered_at is None or (answer.id and answer.id != self._number):
            return  # to an offer that was replaced
        sent = self._sections.apply(self.subscriber.read_answer(answer.sdp))
        self._offered_at = None
        self.pacing.negotiated()
        followings = self.setting.followings
        for mid, following in self._offered.items():
            if followings.by_sid.get(following.publication.sid) is not following:
                continue  # ended while the offer was under way
            if mid in sent:
                self.sending.start(following, sent[mid], followings)
                self.events.followed(following)
            else:
                self.events.unsupported(following)
        if self._changed:
            self.pacing.soon()

    def tick(self) -> None:
        offered_at = self._offered_at
        if offered_at is not None and self.setting.now() - offered_at > self.setting.limits.negotiation_timeout:
            self._offered_at = None
            self.events.failed("an offer was not answered")

    def resumed(self) -> None:
        """RFC 8839 section 4.4.1.1.1: an offer with new credentials restarts ICE."""
        self.subscriber.transport.restart_ice()
        self._offered_at = None
        self._offer()

    # --- tracks ------------------------------------------------------------------------------------------------

    def stop(self, following: Following) -> None:
        self.sending.stop(following)
        following.mid = ""
        self.negotiate_soon()

    def end(self, publication: Publication) -> None:
        self.publishing.end(publication)

    def qualities(self) -> Sequence[Quality]:
        return quality_of(self.publishing.receiver, self.sending.sender)

    def send_data(self, label: str, payload: bytes) -> bool:
        return self.subscriber.transport.send_data(label, payload)

    def close(self) -> None:
        self.pacing.cancel()
        for following in self.setting.followings:
            self.sending.stop(following)
        self.sending.close()
        self.publishing.close()
        self.publisher.close()
        self.subscriber.close()
