"""What servers tell each other about people: typing, receipts, presence, profiles, devices, messages to devices, files."""

from __future__ import annotations

from typing import Any

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import segment
from tests.interop.federation.test_rooms import meet

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


async def test_typing_and_receipts(pair: Pair, home: str, person: MakePerson) -> None:
    alice, bob, room = await meet(pair, home, person, "11")
    hello = await alice.send(room, "hello")
    await bob.until_event(room, hello)
    await bob.put(f"/rooms/{segment(room)}/typing/{segment(bob.user_id)}", {"typing": True, "timeout": 20_000})
    await alice.until_ephemeral(room, "m.typing", lambda content: bob.user_id in content["user_ids"])
    await bob.put(f"/rooms/{segment(room)}/typing/{segment(bob.user_id)}", {"typing": False})
    await alice.until_ephemeral(room, "m.typing", lambda content: bob.user_id not in content["user_ids"])
    await bob.post(f"/rooms/{segment(room)}/receipt/m.read/{segment(hello)}")
    await alice.until_ephemeral(
        room, "m.receipt", lambda content: bob.user_id in content.get(hello, {}).get("m.read", {})
    )


async def test_presence(pair: Pair, home: str, person: MakePerson) -> None:
    alice, bob, _ = await meet(pair, home, person, "11")
    await bob.put(f"/presence/{segment(bob.user_id)}/status", {"presence": "online", "status_msg": "at the lake"})

    def seen(answer: dict[str, Any]) -> bool:
        events = answer.get("presence", {}).get("events", [])
        return any(
            event["sender"] == bob.user_id and event["content"].get("status_msg") == "at the lake" for event in events
        )

    await alice.until(seen, "Bob's presence")


async def test_a_profile(pair: Pair, home: str, person: MakePerson) -> None:
    alice, bob, room = await meet(pair, home, person, "11")
    await bob.put(f"/profile/{segment(bob.user_id)}/displayname", {"displayname": "Bob of the lake"})
    await alice.until_state(
        room, "m.room.member", bob.user_id, lambda content: content.get("displayname") == "Bob of the lake"
    )
    assert (await alice.get(f"/profile/{segment(bob.user_id)}"))["displayname"] == "Bob of the lake"


async def test_the_directory(pair: Pair, home: str, person: MakePerson) -> None:
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    name = f"public-{alice.user_id[1:].partition(':')[0]}"
    room = await alice.create_room("10", visibility="public", room_alias_name=name, name=name)
    found = await bob.get(f"/directory/room/{segment(f'#{name}:{here.name}')}")
    assert found["room_id"] == room
    assert here.name in found["servers"]
    listed = await bob.post("/publicRooms", {"filter": {"generic_search_term": name}}, server=here.name)
    assert [each["room_id"] for each in listed["chunk"]] == [room]


async def test_a_message_to_a_device(pair: Pair, home: str, person: MakePerson) -> None:
    alice, bob, _ = await meet(pair, home, person, "11")
    await bob.sync()
    messages = {bob.user_id: {bob.device_id: {"word": "psst"}}}
    await alice.put("/sendToDevice/org.example.whisper/1", {"messages": messages})

    def heard(answer: dict[str, Any]) -> Any:
        return [event for event in answer.get("to_device", {}).get("events", []) if event["content"]["word"] == "psst"]

    (event,) = await bob.until(heard, "a whisper")
    assert event["sender"] == alice.user_id


async def test_a_list_of_devices_changes(pair: Pair, home: str, person: MakePerson) -> None:
    """Bob uploads keys: Alice is told, and gets them; one of his one-time keys goes to her alone."""
    alice, bob, _ = await meet(pair, home, person, "11")
    await alice.sync()
    device = {
        "user_id": bob.user_id,
        "device_id": bob.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {f"ed25519:{bob.device_id}": "A" * 43, f"curve25519:{bob.device_id}": "B" * 43},
        "signatures": {bob.user_id: {f"ed25519:{bob.device_id}": "C" * 86}},
    }
    one_time = {"signed_curve25519:AAAA": {"key": "D" * 43, "signatures": device["signatures"]}}
    await bob.post("/keys/upload", {"device_keys": device, "one_time_keys": one_time})
    await alice.until(
        lambda answer: bob.user_id in answer.get("device_lists", {}).get("changed", []), "a change of Bob's devices"
    )
    found = await alice.post("/keys/query", {"device_keys": {bob.user_id: []}})
    assert found["device_keys"][bob.user_id][bob.device_id]["keys"] == device["keys"]
    asked = {"one_time_keys": {bob.user_id: {bob.device_id: "signed_curve25519"}}}
    claimed = await alice.post("/keys/claim", asked)
    assert claimed["one_time_keys"][bob.user_id][bob.device_id] == one_time
    again = await alice.post("/keys/claim", asked)
    assert not again["one_time_keys"].get(bob.user_id, {}).get(bob.device_id)


async def test_a_file(pair: Pair, home: str, person: MakePerson) -> None:
    alice, bob, _ = await meet(pair, home, person, "11")
    headers = {"Authorization": f"Bearer {bob.access_token}", "Content-Type": "image/png"}
    url = f"{bob.base_url}/_matrix/media/v3/upload?filename=dot.png"
    async with bob.session.post(url, data=PNG, headers=headers) as response:
        content_uri = (await response.json())["content_uri"]
    server, _, media_id = content_uri.removeprefix("mxc://").partition("/")
    path = f"/_matrix/client/v1/media/download/{segment(server)}/{media_id}"
    assert await alice.get(path) == PNG
    assert await alice.get(path) == PNG  # this time from what was kept
