"""One kind of long work, as the runner sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from homeserver.storage.long_tasks import LongTask


@dataclass(frozen=True, slots=True)
class Step:
    """How a step ended. `not_before_ms`: when the next one may begin."""

    done: bool = False
    not_before_ms: int = 0


AGAIN = Step()
DONE = Step(done=True)


class Handler(Protocol):
    """Does one kind of work."""

    async def step(self, task: LongTask) -> Step:
        """A little of it; changes `task.progress`, which is stored afterwards.

        Raises MatrixError where it cannot be done at all: the order has failed. Unavailable is tried again.
        """
        ...

    async def finished(self, task: LongTask) -> None:
        """It is done, or has failed."""
        ...
