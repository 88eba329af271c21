"""LiveKit clusters of the settings, in the words of voice/sfu/livekit."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

from config.errors import ConfigError
from config.settings import LiveKitSettings
from voice.sfu.livekit.cluster import ClusterAddress


def cluster_addresses(clusters: Sequence[LiveKitSettings]) -> list[ClusterAddress]:
    """Raises ConfigError where there is none, or one without address or key."""
    if not clusters:
        raise ConfigError("voice.backend is livekit, but voice.livekit names no cluster.")
    for each in clusters:
        if not (each.url and each.api_key and each.api_secret):
            raise ConfigError(f"voice.livekit: the cluster {each.region} needs url, api_key and api_secret.")
    return [
        ClusterAddress(each.region, each.url, each.api_url or _as_http(each.url), each.api_key, each.api_secret)
        for each in clusters
    ]


def _as_http(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme={"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)))
