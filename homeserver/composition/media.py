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
    endpoints: list[Endpoint]


def build_media(base: Foundation, settings: Settings, federation: FederationServices) -> MediaServices:
    """Makes the master key at the first start."""
    folder = settings.media.path or settings.data_dir / "media"
    blobs = DiskBlobs(folder, load_or_make_master_key(settings.data_dir / "media.key"))
    rows, arrivals = MediaRows(), Arrivals(base.clock)
    uploads = Uploads(base.database, rows, blobs, arrivals, base.clock, settings.media.max_upload)
    elsewhere = _elsewhere(base, settings, federation, blobs)
    downloads = Downloads(base.database, rows, blobs, arrivals, base.clock, base.server_name, elsewhere)
    thumbnails = Thumbnails(base.database, rows, RemoteMediaRows(), blobs, downloads)
    base.life.every(HOUR_MS, uploads.tidy, "tidy-uploads")
    endpoints = endpoints_of(UploadEndpoints(uploads, base.server_name), DownloadEndpoints(downloads, thumbnails))
    served = FederationMediaEndpoints(downloads, thumbnails, base.server_name)
    others = endpoints_of(served) if federation.client is not None else []
    return MediaServices(uploads, downloads, thumbnails, [*endpoints, *others])


def _elsewhere(
    base: Foundation, settings: Settings, federation: FederationServices, blobs: DiskBlobs
) -> OtherServersMedia:
    client = federation.client
    if client is None:
        return NoOtherServersMedia()
    quota = settings.media.remote_cache
    cache = RemoteCache(base.database, RemoteMediaRows(), blobs, base.clock, quota)
    asking = AskForMedia(client, client.connections, min(settings.media.max_upload, quota))
    media = RemoteMedia(asking, cache, base.clock)
    base.life.every(HOUR_MS, cache.tidy, "tidy-remote-media")
    base.life.on_stop(media.stop)
    base.life.reports_memory("remote_media", media.memory_usage)
    return media
