"""Mallory reports what never happened."""

from __future__ import annotations

import json
import time

import jwt
import pytest
from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from tests.voice.backends.places import livekit_at
from tests.voice.backends.stand_in import KEY, SECRET, signed
from voice.sfu.backend import Joined, SfuEvent
from voice.sfu.livekit.backend import LiveKitBackend
from voice.sfu.livekit.webhooks import MAX_WEBHOOK_BYTES, NotSigned

ALICE = models.ParticipantInfo(
    identity="alice", sid="PA_1", state=models.ParticipantInfo.State.ACTIVE, joined_at_ms=1_700_000_000_000
)
ARRIVAL = WebhookEvent(event="participant_joined", room=models.Room(name="kitchen"), participant=ALICE)


@pytest.fixture
def told() -> list[SfuEvent]:
    return []


@pytest.fixture
def backend(told: list[SfuEvent]) -> LiveKitBackend:
    backend = livekit_at(["ws://127.0.0.1:9"])
    backend.on_event(told.append)
    return backend


def test_a_signed_report_is_believed(backend: LiveKitBackend, told: list[SfuEvent]) -> None:
    body, headers = signed(ARRIVAL)
    backend.check(headers["Authorization"])
    backend.report(body, headers["Authorization"])
    backend.report(body, f"Bearer {headers['Authorization']}")
    assert [type(each) for each in told] == [Joined]


@pytest.mark.parametrize("who", [{"kind": models.ParticipantInfo.Kind.EGRESS}, {"permission": {"hidden": True}}])
def test_recorders_of_the_operator_are_in_no_roster(
    backend: LiveKitBackend, told: list[SfuEvent], who: dict[str, object]
) -> None:
    recorder = models.ParticipantInfo(identity="recorder", sid="PA_9", **who)  # type: ignore[arg-type]
    body, headers = signed(
        WebhookEvent(event="participant_joined", room=models.Room(name="kitchen"), participant=recorder)
    )
    backend.report(body, headers["Authorization"])
    assert told == []


def _token(key: str = KEY, secret: str = SECRET, **claims: object) -> str:
    now = int(time.time())
    return jwt.encode({"iss": key, "nbf": now, "exp": now + 60, **claims}, secret, algorithm="HS256")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer ",
        "nonsense",
        "a.b.c",
        "." * 10_000,
        _token("another key"),
        _token(secret="another secret of more than thirty-two bytes"),
        _token(exp=int(time.time()) - 600),
        jwt.encode({"iss": KEY, "exp": int(time.time()) + 60}, "", algorithm="none"),
    ],
    ids=range(9),
)
def test_what_none_of_our_keys_signed_is_refused_before_it_is_read(
    backend: LiveKitBackend, told: list[SfuEvent], authorization: str
) -> None:
    with pytest.raises(NotSigned):
        backend.check(authorization)
    with pytest.raises(NotSigned):
        backend.report(signed(ARRIVAL)[0], authorization)
    assert told == []


def test_a_signature_is_good_for_its_own_report_only(backend: LiveKitBackend, told: list[SfuEvent]) -> None:
    body, headers = signed(ARRIVAL)
    authorization = headers["Authorization"]
    forged = json.dumps({**json.loads(body), "event": "participant_left"}).encode()
    for other in (forged, body + b" ", b"", b"\xff", b"[]", b"{", b" " * (MAX_WEBHOOK_BYTES + 1)):
        with pytest.raises(NotSigned):
            backend.report(other, authorization)
    with pytest.raises(NotSigned, match="does not fit"):
        backend.report(body, _token())  # a token for the server API is signed by our key, too
    assert told == []


def test_signed_nonsense_changes_nothing(backend: LiveKitBackend, told: list[SfuEvent]) -> None:
    for event in (WebhookEvent(), WebhookEvent(event="participant_left"), WebhookEvent(event="track_published")):
        body, headers = signed(event)
        backend.report(body, headers["Authorization"])
    assert told == []
