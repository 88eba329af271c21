"""LiveKit clusters of the settings, in the words of voice/sfu/livekit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit, urlunsplit

from config.errors import ConfigError
from config.settings import LiveKitSettings
from voice.sfu.livekit.cluster import ClusterAddress

_HTTP = {"wss": "https", "ws": "http"}


def cluster_addresses(clusters: Sequence[LiveKitSettings]) -> list[ClusterAddress]:
    """Raises ConfigError, with a line for each mistake."""
    problems = list(_problems_of(clusters))
    if problems:
        raise ConfigError("\n".join(problems))
    return [_address(each) for each in clusters]


def _problems_of(clusters: Sequence[LiveKitSettings]) -> Iterator[str]:
    if not clusters:
        yield "voice.backend is livekit, but voice.livekit names no cluster."
    for each in clusters:
        missing = [name for name in ("url", "api_key", "api_secret") if not getattr(each, name)]
        if missing:
            yield f"voice.livekit: the cluster {each.region} needs {' and '.join(missing)}."
        if each.url and urlsplit(each.url).scheme not in _HTTP:
            yield f"voice.livekit: the url of the cluster {each.region} has to begin with wss:// or ws://, not {each.url!r}."
    for region in _twice(each.region for each in clusters):
        yield f"voice.livekit: two clusters are called {region}."
    # One would end the calls of the other.
    for url in _twice(_api_url(each) for each in clusters if each.url):
        yield f"voice.livekit: two regions are the same cluster, {url}."


def _twice(words: Iterable[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for word in words:
        seen[word] = seen.get(word, 0) + 1
    return (word for word, times in seen.items() if times > 1)


def _address(given: LiveKitSettings) -> ClusterAddress:
    return ClusterAddress(given.region, given.url.rstrip("/"), _api_url(given), given.api_key, given.api_secret)


def _api_url(given: LiveKitSettings) -> str:
    """Where clients reach it we do too, if nothing else is said."""
    if given.api_url:
        return given.api_url.rstrip("/")
    parts = urlsplit(given.url.rstrip("/"))
    return urlunsplit(parts._replace(scheme=_HTTP.get(parts.scheme, parts.scheme)))
