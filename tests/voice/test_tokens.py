"""Tokens as LiveKit's own library reads them; names as other implementations derive them."""

from __future__ import annotations

import base64

import jwt
import pytest

from tests.voice.recording_backend import API_KEY, API_SECRET, read_token
from voice import tokens
from voice.sfu.backend import Grant

NOW_S = 1_700_000_000.25


def mint(**changes: object) -> str:
    grant = Grant(**{"room": "calls", "identity": "@alice:test:PHONE", **changes})  # type: ignore[arg-type]
    return tokens.mint(API_KEY, API_SECRET, grant, NOW_S)


def test_names_are_those_of_the_test_vectors() -> None:
    """MSC4195 "Appendix: hash derivation test vectors"."""
    identity = tokens.device_identity("@alice:example.com", "DEVICE123", "memberABC")
    assert identity == "J+T45tGruxc+HrUOqJJlyQSV33m728Cme4+vt8/SWrU"
    member = tokens.member_identity("@alice:example.com", "memberABC")
    assert member == "M3VnsLXrkbxIDINXO64u8PZzFyD9ZYFiQULR2dshWYs"
    room = tokens.sfu_room("!roomid:example.com", "slot1234")
    assert room == "O8437W3+jmzMVjoIP3tNwbm+XxHQk2iKpOA7aqw3qSc"


def test_names_of_rooms_and_members_differ_by_each_part() -> None:
    names = {
        tokens.sfu_room("!a:test"),
        tokens.sfu_room("!b:test"),
        tokens.sfu_room("!a:test", "m.call#other"),
        tokens.member_identity("@alice:test", "m1"),
        tokens.member_identity("@alice:test", "m2"),
        tokens.device_identity("@alice:test", "PHONE", "m1"),
    }
    assert len(names) == 6
    assert tokens.sfu_room("!a:test") == tokens.sfu_room("!a:test", "m.call#ROOM")


def test_names_survive_quotes_and_other_scripts() -> None:
    """`["a\\",\\"b"]` and `["a","b"]` are different; what is not ASCII is hashed as UTF-8, as JavaScript does."""
    assert tokens.member_identity('a","b', "c") != tokens.member_identity("a", 'b","c')
    assert tokens.member_identity("@zoë:test", "m") == "h/kT34XwXmMjv4qSHJD+9UYvzEaw3o2bjujlVMOWrYY"


def test_livekits_own_library_reads_our_tokens() -> None:
    claims = read_token(mint(name="Alice", attributes={"place": "stage"}))
    assert claims.identity == "@alice:test:PHONE"
    assert claims.name == "Alice"
    assert claims.attributes == {"place": "stage"}
    video = claims.video
    assert video is not None
    assert (video.room, video.room_join, video.room_create) == ("calls", True, False)
    assert (video.can_publish, video.can_subscribe, video.can_publish_data) == (True, True, True)
    assert video.can_publish_sources == ["camera", "microphone", "screen_share", "screen_share_audio"]


def test_a_token_lasts_an_hour_and_knows_the_millisecond_of_its_making() -> None:
    claims = jwt.decode(mint(), options={"verify_signature": False})
    assert (claims["nbf"], claims["exp"], claims["iat"]) == (1_700_000_000, 1_700_003_600, NOW_S)


def test_without_any_source_nothing_may_be_published() -> None:
    video = read_token(mint(sources=())).video
    assert video is not None
    assert not video.can_publish
    assert video.can_publish_sources is None


def test_priority_comes_from_the_grant_and_from_nowhere_else() -> None:
    """Attributes may be a client's wish; who is always heard is not."""
    assert read_token(mint(priority_speaker=True)).attributes == {tokens.PRIORITY_ATTRIBUTE: "1"}
    assert not read_token(mint(attributes={tokens.PRIORITY_ATTRIBUTE: "1"})).attributes


def test_the_room_is_read_of_our_own_tokens_only() -> None:
    token = mint()
    assert tokens.room_of(token, API_SECRET) == "calls"  # long expired, which is for the SFU to say
    assert tokens.room_of(token, "another secret of thirty-two bytes") is None
    unsigned = jwt.encode({"video": {"room": "calls"}}, "", algorithm="none")
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30"
    for wrong in (deep, "", "nonsense", "a.b.c", "é.é.é", token + "x" * 10_000, token[:-2], unsigned):
        assert tokens.room_of(wrong, API_SECRET) is None
    for video in (None, 7, {}, {"room": 7}):
        assert tokens.room_of(jwt.encode({"video": video}, API_SECRET), API_SECRET) is None


def test_a_token_of_another_secret_is_not_ours() -> None:
    forged = tokens.mint(API_KEY, "x" * 40, Grant("calls", "mallory"), NOW_S)
    with pytest.raises(jwt.InvalidSignatureError):
        read_token(forged)
