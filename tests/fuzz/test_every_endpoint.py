"""A long siege: `./voicechat test --all`, or `pytest tests/fuzz`."""

from __future__ import annotations

import os

import pytest

from tests.cast import Server
from tests.fuzz.siege import lay_siege

ROUNDS = int(os.environ.get("VOICECHAT_FUZZ_ROUNDS", "60"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_endpoint_falls(server: Server, seed: int) -> None:
    complaints = await lay_siege(server, rounds=ROUNDS, seed=seed)
    assert complaints == [], f"{len(complaints)} complaints:\n" + "\n".join(complaints[:40])
