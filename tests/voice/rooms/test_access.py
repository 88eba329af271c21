"""Who is let in: tokens."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from voice.sfu.backend import Grant
from voice.sfu.embedded.rooms.access import AccessDenied, Gate
from voice.tokens import mint

SECRET = "a secret of the homeserver and its workers"
NOW = 1_700_000_000.0
GATE = Gate({"key": SECRET}, longest_life_s=6 * 3600)


def claims(**changed: Any) -> dict[str, Any]:
    video = {"room": "kitchen", "roomJoin": True}
    return {"iss": "key", "sub": "alice", "nbf": NOW - 5, "exp": NOW + 60, "video": video, **changed}


def signed(secret: str = SECRET, algorithm: str = "HS256", **changed: Any) -> str:
    return jwt.encode(claims(**changed), secret, algorithm=algorithm)


def test_alice_comes_in_with_a_token_the_homeserver_minted() -> None:
    grant = Grant(
        "kitchen", "alice", name="Alice", sources=("microphone",), can_publish_data=False, priority_speaker=True
    )

    access = GATE.verify(mint("key", SECRET, grant, NOW), NOW)

    assert (access.room, access.identity, access.name) == ("kitchen", "alice", "Alice")
    assert access.permission.sources == {"microphone"}
    assert access.permission.can_subscribe
    assert not access.permission.can_publish_data
    assert access.attributes == {"org.voicechat.priority": "1"}
    assert not access.may_create_room


def test_who_may_publish_nothing_may_publish_nothing() -> None:
    access = GATE.verify(mint("key", SECRET, Grant("kitchen", "alice", sources=()), NOW), NOW)

    assert not access.permission.may_publish(2)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "not a token",
        "a.b.c",
        signed(secret="another secret of somebody else entirely"),
        signed(iss="another key"),
        signed(exp=NOW),
        signed(nbf=NOW + 1),
        signed(exp=NOW + 7 * 3600),
        signed(exp="tomorrow"),
        signed(exp=None),
        signed(exp=True),
        signed(exp=float("inf")),
        signed(sub=""),
        signed(sub=None),
        signed(sub="a" * 600),
        signed(video=None),
        signed(video={"room": "kitchen"}),
        signed(video={"room": "kitchen", "roomJoin": "true"}),
        signed(video={"roomJoin": True}),
        signed(video={"room": "", "roomJoin": True}),
        signed(algorithm="HS512"),
        jwt.encode(claims(), None, algorithm="none"),
        signed(metadata="x" * 20_000),
    ],
)
def test_mallory_stays_outside(token: str) -> None:
    with pytest.raises(AccessDenied):
        GATE.verify(token, NOW)


def test_a_token_without_times_is_no_token() -> None:
    for missing in ("nbf", "exp"):
        content = claims()
        del content[missing]
        with pytest.raises(AccessDenied):
            GATE.verify(jwt.encode(content, SECRET, algorithm="HS256"), NOW)


def test_a_secret_is_not_shown_when_a_gate_is_printed() -> None:
    assert SECRET not in repr(GATE)
