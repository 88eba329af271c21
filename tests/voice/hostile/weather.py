"""Networks that lose packets in bursts."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Bursts:
    """Called for each packet: whether it is lost. Bursts of 3 to 5, in all as large a part as `share`."""

    share: float
    random: Random
    lost: int = 0
    _left: int = field(default=0, init=False)

    def __call__(self) -> bool:
        if not self._left and self.random.random() < self.share / 4 / (1 - self.share):
            self._left = self.random.randint(3, 5)
        if self._left:
            self._left -= 1
            self.lost += 1
            return True
        return False
