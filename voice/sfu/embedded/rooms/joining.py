"""The first thing a client hears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from livekit.protocol import models, rtc

from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.room import Room
from voice.sfu.embedded.sdp import VIDEO_CODECS
from voice.turn import TurnAccess, read_turn_uri

SERVER_VERSION = "1.9.0"
"""Of the LiveKit server whose behaviour this is; clients compare it."""
_PROTOCOL = 16


def server_info() -> Any:
    return models.ServerInfo(
        edition=models.ServerInfo.Standard, version=SERVER_VERSION, protocol=_PROTOCOL, node_id="voicechat"
    )


def ice_servers(turn: TurnAccess | None, identity: str, now_s: float) -> list[Any]:
    """The relays this participant may use, with credentials of his own. Clients take them without being told to.

    A URI that browsers do not understand would keep them from making any connection, so it is left out.
    """
    if turn is None:
        return []
    credentials = turn.credentials(identity, now_s)
    usable = [uri for uri in credentials.uris if read_turn_uri(uri) is not None]
    if not usable:
        return []
    return [rtc.ICEServer(urls=usable, username=credentials.username, credential=credentials.password)]


def join_response(
    room: Room, participant: Participant, single_peer: bool, limits: RoomLimits, relays: Sequence[Any]
) -> Any:
    others = [other.info() for other in room.people.values() if other is not participant]
    codecs = ["audio/opus", *(f"video/{name}" for name in VIDEO_CODECS)]
    return rtc.JoinResponse(
        room=room.info(),
        participant=participant.info(),
        other_participants=others,
        ice_servers=relays,
        server_version=SERVER_VERSION,
        server_info=server_info(),
        ping_interval=limits.ping_interval // 1000,
        ping_timeout=limits.ping_timeout // 1000,
        subscriber_primary=not single_peer,
        fast_publish=True,
        enabled_publish_codecs=[models.Codec(mime=mime) for mime in codecs],
    )


def reconnect_response(relays: Sequence[Any]) -> Any:
    return rtc.ReconnectResponse(server_info=server_info(), ice_servers=relays)


def everybody(people: Sequence[Participant]) -> Any:
    """For a client that has missed some news."""
    return rtc.ParticipantUpdate(participants=[participant.info() for participant in people])
