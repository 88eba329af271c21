"""`./voicechat test` and `--all`: what they hand to pytest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from homeserver.commands import test as command


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have run."""
    recorded: list[list[str]] = []

    def record(words: Sequence[str]) -> int:
        recorded.append(list(words))
        return 0

    monkeypatch.setattr(command, "_run", record)
    return recorded


def suites_of(runs: list[list[str]]) -> list[list[str]]:
    return [[word for word in run if word.startswith("tests/")] for run in runs if "pytest" in run]


def test_every_day_is_the_checks_and_one_run(runs: list[list[str]]) -> None:
    assert command.run_with([]) == 0
    assert suites_of(runs) == [[]]
    assert [run[0].rpartition("/")[2] for run in runs[:-1]] == ["ruff", "ruff", "mypy", "lint-imports"]


def test_all_adds_the_heavy_suites_in_a_run_of_their_own(runs: list[list[str]]) -> None:
    assert command.run_with(["--all"]) == 0
    assert suites_of(runs) == [[], ["tests/interop", "tests/faults", "tests/fuzz"]]


def test_named_tests_are_all_that_runs(runs: list[list[str]]) -> None:
    assert command.run_with(["tests/config", "-x"]) == 0
    assert suites_of(runs) == [["tests/config"]]
    assert len(runs) == 1
