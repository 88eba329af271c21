"""Who is due when: the order of delayed events, and what restarting, holding and removing do to it."""

from __future__ import annotations

import random

from homeserver.services.delayed_events.timetable import Scheduled, Timetable


def entry(name: str, delay_ms: int, since: int = 0, user_id: str = "@alice:test") -> Scheduled:
    return Scheduled(name, user_id, "!room:test", "m.room.message", None, delay_ms, since)


def filled(*entries: Scheduled) -> Timetable:
    table = Timetable()
    for each in entries:
        table.add(each)
    return table


def names(entries: list[Scheduled]) -> list[str]:
    return [each.delay_id for each in entries]


async def test_the_earliest_comes_first_and_nobody_comes_early() -> None:
    table = filled(entry("c", 30), entry("a", 10), entry("b", 20))
    assert table.next_due_ms() == 10
    assert table.take_due(9, 10) == []
    assert names(table.take_due(20, 10)) == ["a", "b"]
    assert names(table.take_due(30, 10)) == ["c"]


async def test_as_many_as_wanted() -> None:
    table = filled(*(entry(str(number), number) for number in range(10)))
    assert names(table.take_due(100, 3)) == ["0", "1", "2"]
    assert len(table.take_due(100, 100)) == 7


async def test_restarting_puts_off() -> None:
    alice = entry("a", 10)
    table = filled(alice)
    for now_ms in range(0, 100, 5):
        table.restart(alice, now_ms)
        assert table.take_due(now_ms, 10) == []
    assert table.take_due(104, 10) == []
    assert names(table.take_due(105, 10)) == ["a"]


async def test_the_timer_is_told_only_of_what_is_due_earlier() -> None:
    table = filled(entry("a", 10))
    table.changed.clear()
    table.add(entry("b", 20))
    assert not table.changed.is_set()
    table.add(entry("c", 5))
    assert table.changed.is_set()


async def test_a_clock_that_was_set_back() -> None:
    alice = entry("a", 10, since=1_000_000)
    table = filled(alice)
    table.restart(alice, 0)
    assert table.next_due_ms() == 10
    assert names(table.take_due(10, 10)) == ["a"]


async def test_what_is_held_is_left_alone() -> None:
    alice = entry("a", 10)
    table = filled(alice)
    table.hold([alice])
    assert table.take_due(100, 10) == []
    busy = alice.busy
    assert busy is not None
    table.release([alice])
    assert busy.done()
    assert names(table.take_due(100, 10)) == ["a"]
    table.remove(alice)
    table.release([alice])
    assert table.take_due(100, 10) == []
    assert (len(table), table.count_of_user("@alice:test")) == (0, 0)


async def test_restarts_are_stored_once() -> None:
    alice, bob = entry("a", 10), entry("b", 10, user_id="@bob:test")
    table = filled(alice, bob)
    for now_ms in (1, 2, 3):
        table.restart(alice, now_ms)
    assert [(each.delay_id, each.running_since) for each in table.take_restarted()] == [("a", 3)]
    assert list(table.take_restarted()) == []
    table.note_restarted([alice])
    table.remove(alice)
    assert list(table.take_restarted()) == []


async def test_random_lives_against_a_plain_list() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        table, alive = Timetable(), dict[str, Scheduled]()
        for now_ms in range(300):
            choice = chance.random()
            if choice < 0.3:
                new = entry(f"{now_ms}", chance.randrange(1, 40), now_ms)
                table.add(new)
                alive[new.delay_id] = new
            elif choice < 0.7 and alive:
                table.restart(chance.choice(list(alive.values())), now_ms)
            elif choice < 0.75 and alive:
                gone = alive.pop(chance.choice(list(alive)))
                table.remove(gone)
            due = table.take_due(now_ms, 1000)
            expected = {name for name, each in alive.items() if each.running_since + each.delay_ms <= now_ms}
            assert set(names(due)) == expected
            for each in due:
                table.remove(alive.pop(each.delay_id))
        table.release(due)
        assert len(table) == len(alive)
