"""The options that say which server is meant: --config, --data-dir, --port."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from config.load import load_settings
from config.settings import Settings


def add_server_options(parser: ArgumentParser) -> None:
    """Which configuration and which data."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="the configuration (see `config sample`)")
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (default: ./data)")


def add_port_option(parser: ArgumentParser) -> None:
    """Where to listen, without a file."""
    parser.add_argument("--port", metavar="N", help="the port to listen on (default: 8008)")


def settings_of(arguments: Namespace) -> Settings:
    """The settings of a command line. Raises ConfigError."""
    flags: dict[tuple[str, ...], tuple[str, str]] = {}
    if arguments.data_dir is not None:
        flags["data_dir",] = ("--data-dir", arguments.data_dir)
    settings = load_settings(arguments.config, os.environ, flags)
    port = getattr(arguments, "port", None)
    return settings if port is None else _on_port(settings, port)


def _on_port(settings: Settings, text: str) -> Settings:
    from config.errors import ConfigError

    if not text.isdecimal() or int(text) > 65535:
        raise ConfigError(f"--port must be a number between 0 and 65535, not {text!r}.")
    first, *others = settings.listeners
    return replace(settings, listeners=(replace(first, port=int(text)), *others))
