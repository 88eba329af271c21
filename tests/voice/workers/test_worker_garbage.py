"""The collector walks through everything only when it is quiet, or has to."""

from __future__ import annotations

import gc

import pytest

from voice.sfu.embedded import worker_garbage
from voice.sfu.embedded.worker_garbage import Garbage


class Talk:
    sent = 0


@pytest.fixture
def full_collections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []
    monkeypatch.setattr(worker_garbage.gc, "collect", lambda: done.append("full"))
    return done


def waits(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(worker_garbage.gc, "get_count", lambda: (0, 0, count))


def test_it_waits_while_people_talk_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, full_collections: list[str]
) -> None:
    talk = Talk()
    garbage = Garbage(lambda: talk.sent)
    waits(monkeypatch, 30)
    for _ in range(10):
        talk.sent += 50
        garbage.look()
    assert full_collections == []

    garbage.look()
    assert full_collections == ["full"], "nobody talked for a second"

    waits(monkeypatch, 1_000)
    talk.sent += 50
    garbage.look()
    assert full_collections == ["full", "full"]


def test_where_nothing_is_new_nothing_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, full_collections: list[str]
) -> None:
    waits(monkeypatch, 0)
    Garbage(lambda: 0).look()
    assert full_collections == []


def test_nothing_is_collected_in_full_by_itself() -> None:
    before = gc.get_threshold()
    try:
        worker_garbage.begin()
        assert gc.get_threshold()[:2] == before[:2]
        gc.collect()
        kept = [[] for _ in range(200_000)]
        assert gc.get_count()[2] > before[2], "many collections of the middle generation, none of the oldest"
        del kept
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
