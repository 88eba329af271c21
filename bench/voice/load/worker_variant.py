"""The worker as it is, but for one thing: `python -m bench.voice.load.worker_variant FD PARENT WAY`.

WAY is "sendto" (no sendmmsg, as on macOS) or "profile:FILE" (cProfile's numbers, written when it ends).
"""

from __future__ import annotations

import cProfile
import sys

from voice.sfu.embedded import worker
from voice.sfu.embedded.transport import sendmmsg


def main() -> None:
    way, _, path = sys.argv[3].partition(":")
    if way == "sendto":
        sendmmsg.is_supported = lambda: False
        worker.main()
    elif way == "profile":
        profile = cProfile.Profile()
        try:
            profile.runcall(worker.main)
        finally:
            profile.dump_stats(path)
    else:
        sys.exit(f"{way!r} is no way.")


if __name__ == "__main__":
    main()
