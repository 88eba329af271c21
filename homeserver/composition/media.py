"""Files: upload, download, thumbnails."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.media.downloads import DownloadEndpoints
from homeserver.http.media.uploads import UploadEndpoints
from homeserver.services.media.arrivals import Arrivals
from homeserver.services.media.downloads import Downloads
from homeserver.services.media.thumbnails import Thumbnails
from homeserver.services.media.uploads import Uploads
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.blobs.master_key import load_or_make_master_key
from homeserver.storage.media import MediaRows

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class MediaServices:
    """Verbs over files."""

    uploads: Uploads
    downloads: Downloads
    thumbnails: Thumbnails
    endpoints: list[Endpoint]


def build_media(base: Foundation, settings: Settings) -> MediaServices:
    """Makes the master key at the first start."""
    folder = settings.media.path or settings.data_dir / "media"
    blobs = DiskBlobs(folder, load_or_make_master_key(settings.data_dir / "media.key"))
    rows, arrivals = MediaRows(), Arrivals(base.clock)
    uploads = Uploads(base.database, rows, blobs, arrivals, base.clock, settings.media.max_upload)
    downloads = Downloads(base.database, rows, blobs, arrivals, base.clock, base.server_name)
    thumbnails = Thumbnails(base.database, rows, blobs, downloads)
    base.life.every(HOUR_MS, uploads.tidy, "tidy-uploads")
    endpoints = endpoints_of(UploadEndpoints(uploads, base.server_name), DownloadEndpoints(downloads, thumbnails))
    return MediaServices(uploads, downloads, thumbnails, list(endpoints))
