"""Mallory writes descriptions: whatever he writes is answered or refused, quickly, and never breaks anything."""

from __future__ import annotations

import random
import time

import pytest

from tests.voice.sdp.recorded import ALICES_CAMERA, ALICES_VOICE, LOCAL, recorded
from voice.sfu.embedded.sdp import SdpError, SectionPlan, answer, parse
from voice.sfu.embedded.sdp.description import Description
from voice.sfu.embedded.sdp.limits import MAX_TEXT

STRANGE = [
    "",
    " ",
    "-1",
    "99999999999999999999",
    "\x00",
    "\r",
    "é",
    "١",
    "a=",
    "m=",
    "*",
    ";",
    "=",
    "0",
    "/",
    "q;q;q",
    "x" * 300,
]


def mutated(text: str, dice: random.Random) -> str:
    lines = text.split("\r\n")
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(lines))
        match dice.randrange(6):
            case 0:
                del lines[place]
            case 1:
                lines.insert(dice.randrange(len(lines)), lines[place])
            case 2:
                words = lines[place].split(" ")
                words[dice.randrange(len(words))] = dice.choice(STRANGE)
                lines[place] = " ".join(words)
            case 3:
                name, colon, _ = lines[place].partition(":")
                lines[place] = name + colon + dice.choice(STRANGE)
            case 4:
                cut = dice.randrange(len(lines[place]) + 1)
                lines[place] = lines[place][:cut] + dice.choice(STRANGE) + lines[place][cut + dice.randrange(3) :]
            case _:
                lines[place] = lines[dice.randrange(len(lines))]
        lines = lines or [""]
    return "\r\n".join(lines)


def everything(offer: Description) -> dict[str, SectionPlan]:
    tracks = {"audio": ALICES_VOICE, "video": ALICES_CAMERA}
    return {s.mid: SectionPlan(receive=True, send=tracks[s.kind]) for s in offer.sections if s.kind in tracks}


@pytest.mark.parametrize(
    "name", ["chromium-sendrecv", "firefox-livekit-client", "python-sdk-publish", "chromium-publish"]
)
def test_mutations_are_answered_or_refused(name: str) -> None:
    dice = random.Random(name)
    original, outcomes = recorded(name), {"answered": 0, "refused": 0}
    for _ in range(150):
        text = mutated(original, dice)
        try:
            agreed = answer(offer := parse(text), LOCAL, everything(offer))
        except SdpError:
            outcomes["refused"] += 1
            continue
        assert len(parse(agreed.text).sections) == len(offer.sections)
        outcomes["answered"] += 1
    assert min(outcomes.values()) > 8


def test_noise_is_refused() -> None:
    dice = random.Random(7)
    for length in (1, 10, 1000, 10_000):
        with pytest.raises(SdpError):
            parse("".join(chr(dice.randrange(0x3000)) for _ in range(length)))


@pytest.mark.parametrize(
    "line", ["a=rtcp-fb:{} nack", "a=extmap:1 urn:{}", "a=candidate:{}", "a=x:{}", "a=fmtp:{} apt=1", "a"]
)
def test_the_longest_texts_are_dealt_with_quickly(line: str) -> None:
    text = recorded("chromium-sendrecv")
    padding = "\r\n".join(line.format(n) for n in range(25_000))
    started = time.process_time()
    for attempt in (text + padding, text.replace("m=video", padding + "\r\nm=video")):
        with pytest.raises(SdpError):
            parse(attempt[:MAX_TEXT])
    assert time.process_time() - started < 0.2


def test_a_room_of_a_hundred_is_negotiated_in_milliseconds() -> None:
    """Fifty joins mean thousands of negotiations: what did not change must cost next to nothing."""
    text = recorded("chromium-join")
    audio = "m=audio" + text.split("m=audio")[2]
    mids = [str(number) for number in range(7, 107)]
    text = text.replace("BUNDLE 0", "BUNDLE " + " ".join(mids) + " 0") + "".join(
        audio.replace("a=mid:1\r", f"a=mid:{mid}\r") for mid in mids
    )
    offer = parse(text)
    assert len(offer.sections) == 107
    plans = {mid: SectionPlan(send=ALICES_VOICE) for mid in mids}
    started = time.process_time()
    for _ in range(10):
        agreed = answer(parse(text, offer), LOCAL, plans)
    spent = (time.process_time() - started) / 10
    assert len(agreed.sent) == 100
    assert spent < 0.03
