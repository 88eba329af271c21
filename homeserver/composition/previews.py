"""Previews of links."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Settings
from homeserver import VERSION
from homeserver.composition.foundation import Foundation
from homeserver.composition.media import MediaServices
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.dns import Dns, SystemDns
from homeserver.federation.web.making import PreviewMaker
from homeserver.federation.web.pages import WebPages
from homeserver.federation.web.previews import KEPT_FOR_HISTORY_MS, Previews
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.media.previews import PreviewEndpoints
from homeserver.services.previews.pictures import PreviewPictures
from homeserver.services.previews.previews import NoUrlPreviews, UrlPreviews
from homeserver.storage.media import MediaRows
from homeserver.storage.url_previews import UrlPreviewRows

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class PreviewServices:
    """Nothing but its endpoints."""

    endpoints: list[Endpoint]


def build_previews(
    base: Foundation, settings: Settings, media: MediaServices, public_baseurl: str, dns: Dns | None
) -> PreviewServices:
    """Nobody is asked anything before somebody wants to see a preview."""
    previews: UrlPreviews = NoUrlPreviews()
    if settings.url_previews.enabled:
        previews = _previews(base, settings, media, public_baseurl, dns or SystemDns())
    return PreviewServices(list(endpoints_of(PreviewEndpoints(previews))))


def _previews(base: Foundation, settings: Settings, media: MediaServices, public_baseurl: str, dns: Dns) -> Previews:
    wanted, rows = settings.url_previews, UrlPreviewRows()
    web = WebPages(
        dns,
        AddressGuard(wanted.ip_denylist),
        user_agent_of(base.server_name, public_baseurl),
        wanted.languages,
        wanted.host_denylist,
        settings.outgoing_http.verify_tls,
    )
    # As long as any preview that shows them.
    kept_ms = wanted.lifetime_ms + KEPT_FOR_HISTORY_MS
    pictures = PreviewPictures(
        base.database, rows, MediaRows(), media.blobs, base.clock, base.server_name, kept_ms, wanted.picture_cache
    )
    maker = PreviewMaker(web, pictures, wanted.max_page, wanted.max_picture, wanted.timeout_ms)
    previews = Previews(base.database, rows, maker, base.clock, wanted.lifetime_ms)
    base.life.every(HOUR_MS, pictures.tidy, "tidy-preview-pictures")
    base.life.every(HOUR_MS, previews.tidy, "tidy-previews")
    base.life.on_stop(web.close)
    base.life.on_stop(previews.stop)
    base.life.reports_memory("url_previews", previews.memory_usage)
    return previews


def user_agent_of(server_name: str, public_baseurl: str) -> str:
    """Who looks at pages, in the form by which their owners know robots and find out whose they are."""
    return f"VoiceChat/{VERSION} (bot; link previews for {server_name}; +{public_baseurl})"
