"""Tokens go out, come back, and nobody else's are taken for ours."""

from __future__ import annotations

import pytest

from homeserver.protocol.errors import InvalidParam
from homeserver.services.tokens import StreamToken, format_timeline_token, parse_timeline_token


def test_a_sync_token_comes_back_as_it_went_out() -> None:
    token = StreamToken(
        events=12, receipts=3, typing=1764000000000, presence=5, account_data=6, to_device=7, device_lists=8, voice=9
    )
    assert token.format() == "s12_3_1764000000000_5_6_7_8_9"
    assert StreamToken.parse(token.format()) == token


@pytest.mark.parametrize("position", [0, 17, -4, 10**17])
def test_a_timeline_token_comes_back_as_it_went_out(position: int) -> None:
    assert parse_timeline_token(format_timeline_token(position)) == position


def test_a_sync_token_is_a_place_in_timelines() -> None:
    assert parse_timeline_token(StreamToken(events=99, receipts=1).format()) == 99


@pytest.mark.parametrize(
    "text",
    ["", "s", "t", "s1", "s1_2_3", "s1_2_3_4_5_6_7_8_9", "s1_2_3_4_5_6", "s-1_2_3_4_5_6_7",
     "s１_2_3_4_5_6_7", "t1 ", "t1_2", "x5",
     "s1_2_3_4_5_6_" + "9" * 19, "t" + "9" * 400, "12"],
)  # fmt: skip
def test_what_we_never_made_is_refused(text: str) -> None:
    with pytest.raises(InvalidParam):
        parse_timeline_token(text)
    with pytest.raises(InvalidParam):
        StreamToken.parse(text)


def test_a_token_of_before_there_was_voice_still_counts() -> None:
    assert StreamToken.parse("s1_2_3_4_5_6_7") == StreamToken(1, 2, 3, 4, 5, 6, 7, voice=0)
