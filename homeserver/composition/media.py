"""Files: upload, download, thumbnails; files of other servers."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Settings
from homeserver.composition.federation import FederationServices
from homeserver.composition.foundation import Foundation
from homeserver.federation.media.asking import AskForMedia
from homeserver.federation.media.cache import RemoteCache
from homeserver.federation.media.remote_media import RemoteMedia
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.media import FederationMediaEndpoints
from homeserver.http.media.downloads import DownloadEndpoints
from homeserver.http.media.uploads import UploadEndpoints
from homeserver.services.media.arrivals import Arrivals
from homeserver.services.media.downloads import Downloads
from homeserver.services.media.remote import NoOtherServersMedia, OtherServersMedia
from homeserver.services.media.thumbnails import Thumbnails
from homeserver.services.media.uploads import Uploads
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.blobs.master_key import load_or_make_master_key
from homeserver.storage.media import MediaRows
from homeserver.storage.remote_media import RemoteMediaRows

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class MediaServices:
    """Verbs over files."""

    uploads: Uploads
    downloads: Downloads
    thumbnails: Thumbnails
    blobs: DiskBlobs
    kept: RemoteCache | None
    """Files of other servers; None where federation is switched off."""
    endpoints: list[Endpoint]


def build_media(base: Foundation, settings: Settings, federation: FederationServices) -> MediaServices:
    """Makes the master key at the first start."""
    folder = settings.media.path or settings.data_dir / "media"
    blobs = DiskBlobs(folder, load_or_make_master_key(settings.data_dir / "media.key"))
    rows, arrivals = MediaRows(), Arrivals(base.clock)
    uploads = Uploads(base.database, rows, blobs, arrivals, base.clock, settings.media.max_upload)
    kept = _kept(base, settings, federation, blobs)
    elsewhere = _elsewhere(base, settings, federation, kept)
    downloads = Downloads(base.database, rows, blobs, arrivals, base.clock, base.server_name, elsewhere)
    thumbnails = Thumbnails(base.database, rows, RemoteMediaRows(), blobs, downloads)
    base.life.every(HOUR_MS, uploads.tidy, "tidy-uploads")
    endpoints = endpoints_of(UploadEndpoints(uploads, base.server_name), DownloadEndpoints(downloads, thumbnails))
    served = FederationMediaEndpoints(downloads, thumbnails, base.server_name)
    others = endpoints_of(served) if federation.client is not None else []
    return MediaServices(uploads, downloads, thumbnails, blobs, kept, [*endpoints, *others])


def _kept(
    base: Foundation, settings: Settings, federation: FederationServices, blobs: DiskBlobs
) -> RemoteCache | None:  # fmt: skip
    if federation.client is None:
        return None
    cache = RemoteCache(base.database, RemoteMediaRows(), blobs, base.clock, settings.media.remote_cache)
    base.life.every(HOUR_MS, cache.tidy, "tidy-remote-media")
    return cache


def _elsewhere(
    base: Foundation, settings: Settings, federation: FederationServices, cache: RemoteCache | None
) -> OtherServersMedia:
    client = federation.client
    if client is None or cache is None:
        return NoOtherServersMedia()
    asking = AskForMedia(client, client.connections, min(settings.media.max_upload, cache.max_bytes))
    media = RemoteMedia(asking, cache, base.clock)
    base.life.on_stop(media.stop)
    base.life.reports_memory("remote_media", media.memory_usage)
    return media
