"""How clients say that they want to join."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from livekit.protocol import rtc

from voice.sfu.embedded.signalling.join import BadJoin, from_join_request, from_query

LIMIT = 100_000


def packed(request: rtc.JoinRequest, *, zipped: bool) -> str:
    raw = request.SerializeToString()
    wrapped = rtc.WrappedJoinRequest(
        compression=rtc.WrappedJoinRequest.GZIP if zipped else rtc.WrappedJoinRequest.NONE,
        join_request=gzip.compress(raw, mtime=0) if zipped else raw,
    )
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_a_packed_request_is_read(zipped: bool, padded: bool) -> None:
    request = rtc.JoinRequest(metadata="hello", reconnect=True, participant_sid="PA_1")
    request.client_info.protocol = 16
    request.connection_settings.auto_subscribe = True
    request.publisher_offer.sdp = "v=0"
    request.participant_attributes["mood"] = "good"
    text = packed(request, zipped=zipped)

    intent = from_join_request(text if padded else text.rstrip("="), LIMIT)

    assert intent.single_peer
    assert (intent.protocol, intent.auto_subscribe, intent.reconnect, intent.participant_sid) == (
        16,
        True,
        True,
        "PA_1",
    )
    assert intent.offer.sdp == "v=0"
    assert intent.attributes == {"mood": "good"}


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\x22" + bytes(50_000_000))
    wrapped = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=bomb)

    with pytest.raises(BadJoin, match="too large"):
        from_join_request(base64.urlsafe_b64encode(wrapped.SerializeToString()).decode(), LIMIT)


@pytest.mark.parametrize(
    "text", ["%", "AAAA", "é", "////", packed(rtc.JoinRequest(metadata="hello"), zipped=True)[:-16]]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadJoin):
        from_join_request(text, LIMIT)


def test_a_query_of_protocol_v0_is_read() -> None:
    attributes = base64.urlsafe_b64encode(json.dumps({"mood": "good"}).encode()).decode()

    intent = from_query(
        {"protocol": "16", "auto_subscribe": "0", "reconnect": "1", "sid": "PA_1", "attributes": attributes}
    )

    assert not intent.single_peer
    assert (intent.protocol, intent.auto_subscribe, intent.reconnect, intent.participant_sid) == (
        16,
        False,
        True,
        "PA_1",
    )
    assert intent.attributes == {"mood": "good"}


def test_nonsense_in_a_query_is_overlooked() -> None:
    intent = from_query({"protocol": "9" * 99, "attributes": "[" * 50_000, "sid": "PA_1"})

    assert (intent.protocol, dict(intent.attributes), intent.participant_sid, intent.auto_subscribe) == (
        0,
        {},
        "",
        True,
    )


def test_halves_of_characters_are_nobodys_attributes() -> None:
    """They cannot be told to anybody else, and must not break what is."""
    attributes = base64.urlsafe_b64encode(rb'{"mood": "\ud800", "\udfff": "x", "hat": "\ud83c\udfa9"}').decode()
    assert from_query({"attributes": attributes}).attributes == {"hat": "\N{TOP HAT}"}
