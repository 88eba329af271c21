"""Alice configures LiveKit, sometimes wrongly."""

from __future__ import annotations

import pytest

from config.errors import ConfigError
from config.settings import LiveKitSettings, Settings, VoiceSettings
from homeserver.commands.config import problems_of
from homeserver.composition.livekit_clusters import cluster_addresses

EU = LiveKitSettings(region="eu", url="wss://eu.example.org/", api_key="voicechat", api_secret="sesame")


def changed(**values: str) -> LiveKitSettings:
    given = {"region": "us", "url": "wss://us.example.org", "api_key": "voicechat", "api_secret": "sesame"}
    return LiveKitSettings(**{**given, **values})


def test_we_reach_it_where_clients_do_if_nothing_else_is_said() -> None:
    eu, us = cluster_addresses([EU, changed(api_url="http://10.0.0.6:7880/")])
    assert (eu.url, eu.api_url) == ("wss://eu.example.org", "https://eu.example.org")
    assert (us.url, us.api_url) == ("wss://us.example.org", "http://10.0.0.6:7880")
    (plain,) = cluster_addresses([changed(url="ws://127.0.0.1:7880")])
    assert plain.api_url == "http://127.0.0.1:7880"
    assert "sesame" not in repr(eu)


@pytest.mark.parametrize(
    ("clusters", "said"),
    [
        ([], "names no cluster"),
        ([changed(url="")], "us needs url"),
        ([changed(api_key="", api_secret="")], "us needs api_key and api_secret"),
        ([changed(url="https://us.example.org")], "wss:// or ws://, not 'https://us.example.org'"),
        ([EU, changed(region="eu")], "two clusters are called eu"),
        ([EU, changed(url="wss://eu.example.org")], "two regions are the same cluster"),
    ],
)
def test_mistakes_are_named(clusters: list[LiveKitSettings], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cluster_addresses(clusters)
    assert said in str(caught.value)
    assert "sesame" not in str(caught.value)
    settings = Settings(voice=VoiceSettings(backend="livekit", livekit=tuple(clusters)))
    assert said in "\n".join(problems_of(settings))
    embedded = Settings(voice=VoiceSettings(livekit=tuple(clusters)))
    assert not list(problems_of(embedded)), "nobody reads them then"


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        cluster_addresses([changed(url=""), changed(api_key="")])
    assert len(str(caught.value).splitlines()) == 3
