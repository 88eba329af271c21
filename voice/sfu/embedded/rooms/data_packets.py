"""Data packets: who they are of is written by us, and who gets them is up to their sender."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from livekit.protocol import models

RELIABLE, LOSSY = "_reliable", "_lossy"
_KINDS = {RELIABLE: models.DataPacket.RELIABLE, LOSSY: models.DataPacket.LOSSY}


@dataclass(frozen=True, slots=True)
class Routed:
    """A packet as its receivers get it."""

    payload: bytes
    identities: frozenset[str]
    """To these only, and to everybody where there is none of both."""
    sids: frozenset[str]

    def is_for(self, identity: str, sid: str) -> bool:
        return not (self.identities or self.sids) or identity in self.identities or sid in self.sids


def routed(label: str, payload: bytes, identity: str, sid: str) -> Routed | None:
    """None where it is no packet a client may send: active speakers are told by us alone."""
    packet = models.DataPacket()
    try:
        packet.ParseFromString(payload)
    except DecodeError:
        return None
    if label not in _KINDS or packet.WhichOneof("value") in (None, "speaker"):
        return None
    packet.kind = _KINDS[label]
    packet.participant_identity, packet.participant_sid = identity, sid
    identities, sids = set(packet.destination_identities), set[str]()
    if packet.WhichOneof("value") == "user":
        _stamp_user(packet.user, identity, sid)
        identities.update(packet.user.destination_identities)
        sids.update(packet.user.destination_sids)
    return Routed(packet.SerializeToString(), frozenset(identities), frozenset(sids))


def _stamp_user(user: Any, identity: str, sid: str) -> None:
    """Older clients read the sender there."""
    user.participant_identity, user.participant_sid = identity, sid


def from_server(topic: str, payload: bytes, identities: Iterable[str]) -> Routed:
    """A reliable packet of the server: it has no participant."""
    user = models.UserPacket(payload=payload, topic=topic, destination_identities=identities)
    packet = models.DataPacket(kind=models.DataPacket.RELIABLE, user=user, destination_identities=identities)
    return Routed(packet.SerializeToString(), frozenset(identities), frozenset())
