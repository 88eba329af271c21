"""The grant of somebody who is in a room: what his token said, with what has changed since."""

from __future__ import annotations

from voice.sfu.backend import SOURCES, Grant
from voice.sfu.embedded.rooms.session import Session


def refreshed_grant(session: Session) -> Grant:
    participant, permission = session.participant, session.participant.permission
    return Grant(
        room=session.room.name,
        identity=participant.identity,
        name=participant.name,
        can_publish=permission.can_publish,
        sources=[source for source in SOURCES if source in permission.sources],
        can_subscribe=permission.can_subscribe,
        can_publish_data=permission.can_publish_data,
        priority_speaker=participant.priority,
        attributes=dict(participant.attributes),
    )
