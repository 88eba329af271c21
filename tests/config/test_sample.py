"""The sample that administrators start from."""

from __future__ import annotations

import re
from pathlib import Path

from config.document import parse_yaml
from config.load import load_settings, settings_of
from config.sample import sample
from config.settings import Settings

COMMITTED = Path(__file__).parents[2] / "config" / "sample.yaml"


def with_every_key(text: str) -> str:
    """The sample with the comment sign taken from every key (a sentence has a space after its sign)."""
    return re.sub(r"(?m)^(\s*)#(?=\S)(?!tls:)", r"\1", text).replace("#  ", "  ")


def test_the_committed_sample_is_the_generated_one() -> None:
    assert COMMITTED.read_text("utf-8") == sample(), "run: ./voicechat config sample > config/sample.yaml"


def test_the_sample_loads_and_changes_nothing_but_the_names() -> None:
    settings = load_settings(COMMITTED)
    assert (settings.server_name, settings.public_baseurl) == ("example.org", "https://matrix.example.org")
    assert settings.listeners == Settings().listeners
    assert settings.federation == Settings().federation


def test_the_defaults_it_shows_are_the_defaults(tmp_path: Path) -> None:
    everything = with_every_key(sample()).replace("example.org", "localhost", 1)
    settings = settings_of(parse_yaml(everything, "sample", tmp_path))
    defaults = Settings(
        server_name="localhost", public_baseurl="https://matrix.example.org", data_dir=tmp_path / "data"
    )
    assert settings == defaults
    assert everything.count("\n    port: 8008") == 1
