"""Registration files of application services, read once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from config.errors import ConfigError
from homeserver.services.appservices.appservice import Appservice
from homeserver.services.appservices.registration_file import (
    InvalidRegistration,
    check_unique,
    parse_registration,
)
from homeserver.services.appservices.registry import Appservices

MAX_FILE_BYTES = 1024 * 1024


def load_appservices(files: Iterable[Path], server_name: str) -> Appservices:
    """Raises ConfigError, with a line for each file that cannot be used."""
    found: list[Appservice] = []
    problems: list[str] = []
    for file in files:
        try:
            found.append(parse_registration(_read(file), server_name))
        except (OSError, ValueError, yaml.YAMLError, InvalidRegistration) as error:
            problems.append(f"{file}: {' '.join(str(error).split())}")
    try:
        check_unique(found)
    except InvalidRegistration as error:
        problems.append(f"appservice_files: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return Appservices(found, server_name)


def _read(file: Path) -> object:
    with file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES} bytes")
    return yaml.safe_load(content)
