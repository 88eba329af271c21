"""`voicechat COMMAND`: finds the command's module, and turns errors for people into one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

COMMANDS = ("up", "serve", "user", "config", "doctor", "signing-key", "call-page", "voice-bot", "test")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["test"]:
        # Everything behind it belongs to pytest, also what argparse would take for its own.
        return _module("test").run_with(words[1:])  # type: ignore[no-any-return]
    parsed = _parser(words).parse_args(words)
    return _run(_module(parsed.command), parsed)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="voicechat", description="A Matrix homeserver that starts with one command.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        # Only the module of the command that was asked for is imported; all of them for `--help`.
        if name in words or words[:1] in ([], ["-h"], ["--help"]):
            module = _module(name)
            module.add_arguments(commands.add_parser(name, help=module.HELP, description=module.HELP))
        else:
            commands.add_parser(name)
    return parser


def _module(name: str) -> ModuleType:
    return import_module(f"homeserver.commands.{name.replace('-', '_')}")


def _run(module: ModuleType, parsed: argparse.Namespace) -> int:
    from config.errors import ConfigError
    from homeserver.commands.errors import CommandError

    try:
        return int(module.run(parsed))
    except (ConfigError, CommandError) as error:
        print(f"voicechat: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
