"""Real calls: LiveKit's own SDK on both ends, our SFU in between."""

from __future__ import annotations

import pytest

from tests.voice.calls.telephone import caller, exchange, heard, humming, until


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "v0"])
async def test_bob_hears_alice(v1: bool) -> None:
    async with exchange(v1=v1) as here, caller(here, "alice") as alice, caller(here, "bob") as bob, humming(alice):
        await until(lambda: "alice audio" in bob.tracks, "Alice's track")

        loudest, share = await heard(bob.tracks["alice audio"])

        assert loudest == pytest.approx(997, abs=20)
        assert share > 0.9
