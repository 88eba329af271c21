"""Element Web's life on matrix-js-sdk: lazy members, threads, scrollback, counts, a broken network, a day of clicks."""

from __future__ import annotations

import secrets

from tests.interop.conftest import Cast
from tests.interop.player import Player
from tests.interop.refusals import unexpected
from tests.interop.scenes import eventually, meet


async def test_the_room_list_counts_what_is_unread(cast: Cast) -> None:
    alice, bob, room_id = await two_in_a_plain_room(cast)
    await bob.ask("send", room_id=room_id, body="Anybody home?")
    await bob.ask("send", room_id=room_id, body="Alice!", mentions=[alice.user_id])
    last = await bob.ask("send", room_id=room_id, body="Well, tomorrow then.")
    await alice.ask("wait_message", room_id=room_id, body="Well, tomorrow then.")

    row = await row_of(alice, room_id)
    assert (row["name"], row["membership"], row["joined"]) == ("Tea", "join", 2)
    assert (row["last"], row["unread"], row["highlights"]) == ("Well, tomorrow then.", 3, 1)

    await alice.ask("receipt", room_id=room_id, event_id=last)
    phone = await cast("alice", "js", as_device_of=alice)
    row = await row_of(phone, room_id)
    assert (row["unread"], row["highlights"]) == (0, 0)


async def test_scrollback_and_permalinks_reach_everything_once(cast: Cast) -> None:
    alice, bob, room_id = await two_in_a_plain_room(cast)
    said = [f"line {number}" for number in range(75)]
    ids = [await bob.ask("send", room_id=room_id, body=line) for line in said]
    await alice.ask("wait_message", room_id=room_id, body=said[-1])

    phone = await cast("alice", "js", as_device_of=alice)
    assert await phone.ask("read_room", room_id=room_id) == {"first": "m.room.create", "bodies": said}
    laptop = await cast("alice", "js", as_device_of=alice)
    by_permalink = await laptop.ask("read_room", room_id=room_id, event_id=ids[30])
    assert by_permalink == {"first": "m.room.create", "bodies": said}


async def test_a_thread_has_its_own_timeline_and_counts(cast: Cast) -> None:
    alice, bob, room_id = await two_in_a_plain_room(cast)
    root = await alice.ask("send", room_id=room_id, body="Which cake?")
    await bob.ask("wait_message", room_id=room_id, body="Which cake?")
    replies = [f"cake number {number}" for number in range(30)]
    for reply in replies:
        last = await bob.ask("send", room_id=room_id, body=reply, thread=root)
    await bob.ask("send", room_id=room_id, body="Meanwhile, tea.")

    phone = await cast("alice", "js", as_device_of=alice)
    [thread] = await phone.ask("threads", room_id=room_id)
    assert thread == {"root": root, "replies": 30, "last": replies[-1], "unread": 30}
    assert await phone.ask("read_thread", room_id=room_id, root=root) == ["Which cake?", *replies]
    assert (await phone.ask("read_room", room_id=room_id))["bodies"] == ["Which cake?", "Meanwhile, tea."]
    assert (await row_of(phone, room_id))["unread"] == 1

    await phone.ask("receipt", room_id=room_id, event_id=last, threaded=True)
    laptop = await cast("alice", "js", as_device_of=alice)
    [thread] = await laptop.ask("threads", room_id=room_id)
    assert thread["unread"] == 0
    assert (await row_of(laptop, room_id))["unread"] == 1


async def test_members_come_when_they_are_needed(cast: Cast) -> None:
    alice, bob, room_id = await two_in_a_plain_room(cast)
    carol = await cast("carol", "nio")
    await alice.ask("invite", room_id=room_id, user_id=carol.user_id)
    await carol.ask("join", room_id=room_id)
    for number in range(25):
        await bob.ask("send", room_id=room_id, body=f"word {number}")

    phone = await cast("alice", "js", as_device_of=alice)
    assert set(await phone.ask("known_members", room_id=room_id)) == {alice.user_id, bob.user_id}
    assert (await row_of(phone, room_id))["joined"] == 3
    await phone.ask("load_members", room_id=room_id)
    everybody = {alice.user_id, bob.user_id, carol.user_id}
    assert set(await phone.ask("known_members", room_id=room_id)) == everybody


async def test_after_a_broken_network_nothing_is_missing(cast: Cast) -> None:
    alice = await cast("alice", "js")
    bob = await cast("bob", "js")
    room_id = await meet(bob, alice, encrypted=False)
    said = ["before the tunnel"]
    await bob.ask("send", room_id=room_id, body=said[0])
    await alice.ask("wait_message", room_id=room_id, body=said[0])

    await alice.ask("cut_network")
    await bob.ask("set_topic", room_id=room_id, topic="Cake")
    for number in range(45):
        said.append(f"in the tunnel {number}")
        await bob.ask("send", room_id=room_id, body=said[-1])
    await bob.ask("set_topic", room_id=room_id, topic="Cake and tea")
    await alice.ask("mend_network")

    await alice.ask("wait_message", room_id=room_id, body=said[-1])
    await eventually(alice, "syncs_with_state_after")
    assert (await row_of(alice, room_id))["topic"] == "Cake and tea"
    assert (await alice.ask("read_room", room_id=room_id))["bodies"] == said
    assert (await row_of(alice, room_id))["unread"] == len(said)


async def test_edits_reactions_and_redactions_are_shown_to_who_comes_later(cast: Cast) -> None:
    alice, bob, room_id = await two_in_a_plain_room(cast)
    edited = await bob.ask("send", room_id=room_id, body="Tee at five")
    liked = await bob.ask("send", room_id=room_id, body="With cake")
    regretted = await bob.ask("send", room_id=room_id, body="You are too late anyway")
    await bob.ask("edit", room_id=room_id, event_id=edited, body="Tea at five")
    await bob.ask("redact", room_id=room_id, event_id=regretted)
    await alice.ask("react", room_id=room_id, event_id=liked, key="🍰")

    phone = await cast("alice", "js", as_device_of=alice)
    assert (await phone.ask("shown", room_id=room_id, event_id=edited))["body"] == "Tea at five"
    assert (await phone.ask("shown", room_id=room_id, event_id=liked))["reactions"] == {"🍰": 1}
    assert await phone.ask("shown", room_id=room_id, event_id=regretted) == {
        "body": None,
        "redacted": True,
        "reactions": {},
    }


async def test_a_day_of_clicks_meets_nothing_unknown(cast: Cast) -> None:
    alice, bob, room_id = await two_in_a_plain_room(cast)
    event_id = await alice.ask("send", room_id=room_id, body="tea")
    alias = f"#tea-{secrets.token_hex(4)}:interop.test"

    clicks = await alice.ask("everyday", room_id=room_id, event_id=event_id, other=bob.user_id, alias=alias)

    refused = await alice.ask("refused")
    assert unexpected(refused) == set()
    broken = {click: answer for click, answer in clicks.items() if not excused(answer)}
    assert broken == {}


def excused(answer: str) -> bool:
    """A click either worked, or met what is missing (judged by its request) or not configured, or the SDK saw beforehand
    that it is.
    """
    is_refused = "M_UNRECOGNIZED" in answer or "No TURN server is configured" in answer
    return answer == "ok" or is_refused or answer.startswith("Server does not support")


async def two_in_a_plain_room(cast: Cast) -> tuple[Player, Player, str]:
    alice = await cast("alice", "js")
    bob = await cast("bob", "js")
    return alice, bob, await meet(alice, bob, encrypted=False)


async def row_of(player: Player, room_id: str) -> dict[str, object]:
    rows: list[dict[str, object]] = await player.ask("room_list")
    return next(row for row in rows if row["room_id"] == room_id)
