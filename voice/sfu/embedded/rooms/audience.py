"""Whom a publisher lets hear and see what he publishes (`SubscriptionPermission`)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any


@dataclass(frozen=True, slots=True)
class Audience:
    everybody: bool = True
    all_tracks: frozenset[str] = frozenset()
    """Identities and sids of those who may have every track."""
    tracks: frozenset[tuple[str, str]] = frozenset()
    """(identity or sid, track sid)."""

    def admits(self, identity: str, sid: str, track_sid: str) -> bool:
        if self.everybody or identity in self.all_tracks or sid in self.all_tracks:
            return True
        return (identity, track_sid) in self.tracks or (sid, track_sid) in self.tracks


def of_request(request: Any, most: int) -> Audience:
    """Of longer lists only so many are let in."""
    if request.all_participants:
        return Audience()
    all_tracks: set[str] = set()
    tracks: set[tuple[str, str]] = set()
    for permission in islice(request.track_permissions, most):
        who = permission.participant_identity or permission.participant_sid
        if permission.all_tracks:
            all_tracks.add(who)
        tracks.update((who, track_sid) for track_sid in permission.track_sids[:most])
    return Audience(False, frozenset(all_tracks), frozenset(tracks))
