"""Looking for what was said, for people, and at rooms from outside, as Element Web does it with matrix-js-sdk."""

from __future__ import annotations

import secrets

from tests.interop.conftest import Cast
from tests.interop.scenes import meet


async def test_messages_are_found_page_by_page(cast: Cast) -> None:
    alice = await cast("alice", "js")
    bob = await cast("bob", "js")
    room_id = await meet(alice, bob, encrypted=False)
    said = [f"cake number {number}" for number in range(12)]
    for line in said:
        await bob.ask("send", room_id=room_id, body=line)
    await bob.ask("send", room_id=room_id, body="Käse, though")
    await alice.ask("wait_message", room_id=room_id, body="Käse, though")

    found = await alice.ask("find_messages", term="cake", room_id=room_id)
    assert (found["count"], found["bodies"]) == (12, said[::-1])
    assert found["first_with_neighbours"] == ["cake number 10", "cake number 11", "Käse, though"]
    everywhere = await alice.ask("find_messages", term='"number 7" cake')
    assert (everywhere["bodies"], everywhere["count"]) == (["cake number 7"], 1)
    folded = await alice.ask("find_messages", term="KASE")
    assert (folded["bodies"], folded["highlights"]) == (["Käse, though"], ["käse"])
    assert (await alice.ask("find_messages", term="crumble"))["bodies"] == []
    carol = await cast("carol", "js")
    assert (await carol.ask("find_messages", term="cake"))["bodies"] == []


async def test_people_rooms_in_common_and_previews(cast: Cast) -> None:
    alice = await cast("alice", "js")
    bob = await cast("bob", "js")
    room_id = await meet(alice, bob, encrypted=False)
    name = bob.user_id[1:].partition(":")[0]
    assert [user_id for user_id, _ in (await alice.ask("find_people", term=name))["people"]] == [bob.user_id]
    assert await alice.ask("find_people", term=secrets.token_hex(8)) == {"people": [], "limited": False}
    assert await alice.ask("rooms_with", user_id=bob.user_id) == [room_id]
    preview = await alice.ask("preview_room", room=room_id, via=["interop.test"])
    assert (preview["room_id"], preview["membership"], preview["num_joined_members"]) == (room_id, "join", 2)
    assert preview["room_version"] == "12"
