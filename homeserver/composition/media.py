"""Files: upload, download, thumbnails."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class MediaServices:
    """Verbs over files."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_media(base: Foundation) -> MediaServices:
    """Nothing yet."""
    return MediaServices()
