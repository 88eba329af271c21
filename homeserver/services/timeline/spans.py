"""Which stretches of a timeline to read: what may be seen, within what was asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from homeserver.protocol.visibility import Range

# Beyond every event, and short enough to be written in a token.
LOWEST = -(10**17)

Span = tuple[int, int]
"""Events with first < position <= second, as tokens and queries count."""


def spans_within(ranges: Sequence[Range], after: int, up_to: int, *, newest_first: bool) -> list[Span]:
    """The parts of ``(after, up_to]`` that lie in these ascending ranges, in the order in which they are read."""
    spans = [
        (max(after, first - 1), min(up_to, last)) for first, last in ranges if first <= up_to and last > after
    ]  # fmt: skip
    return spans[::-1] if newest_first else spans
