"""The players of one story: called on stage one by one, sent home together."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.interop.player import Player


@dataclass(slots=True)
class Stage:
    """`commands` starts a client of a kind; the players' logs are kept in `folder`."""

    commands: Callable[[str], list[str]]
    folder: Path
    players: list[Player] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def call(self, base_url: str, name: str, kind: str, as_device_of: Player | None = None) -> Player:
        """A player with a fresh account at the server, or one more device of another player's."""
        log = self.folder / f"{next(self._numbers)}-{name}-{kind}.log"
        player = await Player.start(kind, self.commands(kind), log)
        self.players.append(player)
        if kind == "mautrix" and not await player.ask("can_encrypt"):
            pytest.skip("mautrix encrypts with python-olm, which has no wheel for this Python")
        if as_device_of is None:
            await player.enter("register", base_url, f"{name}-{secrets.token_hex(4)}", f"password of {name}")
        else:
            await player.enter("login", base_url, as_device_of.username, as_device_of.password)
        return player

    async def clear(self) -> None:
        """All go home, the last first."""
        for player in reversed(self.players):
            await player.close()
