"""What a port has done, for metrics and for `doctor voice`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Since the port was opened. Datagrams and frames, never bytes."""

    received: int = 0
    """Of media and DTLS, from validated addresses."""
    sent: int = 0
    """Media handed to the system."""
    dropped: int = 0
    """Media that could not be sent: buffer full, slow TCP peer, address unreachable."""
    late: int = 0
    """Media thrown away unread, for the worker could not keep up."""
    bad: int = 0
    """What nobody can have meant: unauthentic, malformed, replayed, too long, of an unknown address."""
    checks: int = 0
    """Connectivity checks answered."""
