"""The page that opens a call in a browser: files of the data directory, looked at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from config.settings import Settings
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.voice.call_page import CallPageEndpoints, installed_files


@dataclass(frozen=True, slots=True)
class CallPage:
    """Nothing but endpoints."""

    endpoints: list[Endpoint] = field(default_factory=list)


def call_page_directory(settings: Settings) -> Path:
    """Where `./voicechat call-page install` puts the page."""
    return settings.data_dir / "call-page"


def build_call_page(settings: Settings) -> CallPage:
    """Endpoints exist also without the page: they say how to get it."""
    return CallPage(list(endpoints_of(CallPageEndpoints(installed_files(call_page_directory(settings))))))
