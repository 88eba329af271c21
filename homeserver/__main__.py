"""`python -m homeserver --config FILE` serves; with a command's name first it is `voicechat`."""

from __future__ import annotations

import sys

from homeserver.cli import COMMANDS, main

if __name__ == "__main__":
    words = sys.argv[1:]
    named = bool(words) and (words[0] in COMMANDS or words[0] in ("-h", "--help"))
    sys.exit(main(words if named else ["serve", *words]))
