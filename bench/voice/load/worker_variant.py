"""The worker as it is, but for one thing: `python -m bench.voice.load.worker_variant FD PARENT WAY`.

WAY is "sendto" (no sendmmsg, as on macOS), or "samples:FILE": where the CPU was every 2 ms of its time, written when it
ends, from the last SIGUSR1 on. cProfile would be of no use, as it costs more than what it measures.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from voice.sfu.embedded import worker
from voice.sfu.embedded.transport import sendmmsg

_EVERY_SECONDS = 0.002


def main() -> None:
    way, _, path = sys.argv[3].partition(":")
    if way == "sendto":
        sendmmsg.is_supported = lambda: False
        worker.main()
    elif way == "samples":
        sampled(worker.main, Path(path))
    else:
        sys.exit(f"{way!r} is no way.")


def sampled(run: Callable[[], None], path: Path) -> None:
    """For each function: samples in itself, and in what it calls, most first."""
    itself: Counter[str] = Counter()
    below: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        stack: dict[str, None] = {}
        while frame is not None:
            code = frame.f_code
            stack[f"{Path(code.co_filename).name}:{code.co_qualname}"] = None
            if len(stack) == 1:
                itself[f"{next(iter(stack))}:{frame.f_lineno}"] += 1
            frame = frame.f_back
        below.update(stack.keys())

    def forget(*_: object) -> None:
        itself.clear()
        below.clear()

    signal.signal(signal.SIGPROF, look)
    signal.signal(signal.SIGUSR1, forget)
    signal.setitimer(signal.ITIMER_PROF, _EVERY_SECONDS, _EVERY_SECONDS)
    try:
        run()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = [f"{sum(itself.values())} samples", "", "in itself:"]
        lines += [f"{count:7} {name}" for name, count in itself.most_common(60)]
        lines += ["", "with what it calls:"]
        lines += [f"{count:7} {name}" for name, count in below.most_common(80)]
        path.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
