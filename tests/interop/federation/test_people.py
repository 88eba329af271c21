"""What servers tell each other about people: typing, receipts, presence, profiles, devices, messages to devices, files."""

from __future__ import annotations

import io
import secrets
from typing import Any

import pytest
from PIL import Image

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import Person, Refused, segment
from tests.interop.federation.scenes import meet


async def test_typing_and_receipts(pair: Pair, home: str, person: MakePerson) -> None:
    alice, bob, room = await meet(pair, home, person, "11")
    hello = await alice.send(room, "hello")
    await bob.until_event(room, hello)
    await alice.sync()  # who is not there is not told who types
    await bob.put(f"/rooms/{segment(room)}/typing/{segment(bob.user_id)}", {"typing": True, "timeout": 20_000})
    await alice.until_ephemeral(room, "m.typing", lambda content: bob.user_id in content["user_ids"])
    await bob.put(f"/rooms/{segment(room)}/typing/{segment(bob.user_id)}", {"typing": False})
    await alice.until_ephemeral(room, "m.typing", lambda content: bob.user_id not in content["user_ids"])
    await bob.post(f"/rooms/{segment(room)}/receipt/m.read/{segment(hello)}")
    await alice.until_ephemeral(
        room, "m.receipt", lambda content: bob.user_id in content.get(hello, {}).get("m.read", {})
    )


async def test_a_private_receipt(pair: Pair, home: str, person: MakePerson) -> None:
    """How far Bob has read in private is nobody's business; a receipt for a thread says for which."""
    alice, bob, room = await meet(pair, home, person, "11")
    first, second = await alice.send(room, "one"), await alice.send(room, "two")
    await bob.until_event(room, second)
    heard: list[dict[str, Any]] = []

    def is_second(content: dict[str, Any]) -> bool:
        heard.append(content)
        return bob.user_id in content.get(second, {}).get("m.read", {})

    await bob.post(f"/rooms/{segment(room)}/receipt/m.read.private/{segment(first)}")
    await bob.post(f"/rooms/{segment(room)}/receipt/m.read/{segment(second)}", {"thread_id": "main"})
    await alice.until_ephemeral(room, "m.receipt", is_second)
    assert heard[-1][second]["m.read"][bob.user_id]["thread_id"] == "main"
    assert not [content for content in heard if first in content]


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
    """Name and picture: in the room, asked for by itself, and where no room is shared."""
    alice, bob, room = await meet(pair, home, person, "11")
    stranger = await person("stranger", pair.home_and_away(home)[0])
    profile = {"displayname": "Bob of the lake", "avatar_url": f"mxc://{bob.server_name}/lake"}
    for field, value in profile.items():
        await bob.put(f"/profile/{segment(bob.user_id)}/{field}", {field: value})
    await alice.until_state(room, "m.room.member", bob.user_id, lambda content: profile.items() <= content.items())
    for reader in (alice, stranger):
        found = await reader.get(f"/profile/{segment(bob.user_id)}")
        assert profile.items() <= found.items()
    with pytest.raises(Refused) as refused:
        await alice.get(f"/profile/{segment(f'@nobody:{bob.server_name}')}")
    assert refused.value.status == 404


async def test_the_directory(pair: Pair, home: str, person: MakePerson) -> None:
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    name = f"public-{alice.user_id[1:].partition(':')[0]}"
    room = await alice.create_room("10", visibility="public", room_alias_name=name, name=name)
    await alice.create_room("10", name=name)  # public too, but not in the list
    found = await bob.get(f"/directory/room/{segment(f'#{name}:{here.name}')}")
    assert found["room_id"] == room
    assert here.name in found["servers"]
    listed = await bob.post("/publicRooms", {"filter": {"generic_search_term": name}}, server=here.name)
    assert [each["room_id"] for each in listed["chunk"]] == [room]
    assert listed["chunk"][0]["name"] == name
    # Answers are kept for a while, so this is about a name that nobody has asked for.
    gone = f"/directory/room/{segment(f'#gone-{name}:{here.name}')}"
    await alice.put(gone, {"room_id": room})
    await alice.request("DELETE", gone)
    with pytest.raises(Refused) as refused:
        await bob.get(gone)
    assert refused.value.status == 404


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
    device = device_keys(bob)
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


async def test_a_device_goes(pair: Pair, home: str, person: MakePerson) -> None:
    """Bob's second device is there for Alice as soon as it has keys, and no longer once he has logged out of it."""
    alice, bob, _ = await meet(pair, home, person, "11")
    second = Person(bob.session, bob.base_url, bob.server_name)
    await second.log_in(bob.user_id)
    await alice.sync()
    for device in (bob, second):
        await device.post("/keys/upload", {"device_keys": device_keys(device)})
    await alice.until_devices(bob.user_id, {bob.device_id, second.device_id})
    await second.post("/logout")
    await alice.until_devices(bob.user_id, {bob.device_id})


def device_keys(person: Person) -> dict[str, Any]:
    """What nobody can encrypt for, but every server passes on."""
    device = person.device_id
    return {
        "user_id": person.user_id,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {f"ed25519:{device}": "A" * 43, f"curve25519:{device}": "B" * 43},
        "signatures": {person.user_id: {f"ed25519:{device}": "C" * 86}},
    }


async def test_a_file(pair: Pair, home: str, person: MakePerson) -> None:
    """Of another server, with its name and type; the second time from what was kept."""
    alice, bob, _ = await meet(pair, home, person, "11")
    data = secrets.token_bytes(1_500_000)
    uri = await bob.upload(data, "application/octet-stream", "notes.bin")
    for _ in range(2):
        headers, body = await alice.download(uri)
        assert body == data
        assert headers["Content-Type"] == "application/octet-stream"
        assert "notes.bin" in headers["Content-Disposition"]
    with pytest.raises(Refused) as refused:
        await alice.download(f"mxc://{bob.server_name}/nothing")
    assert refused.value.status == 404


async def test_a_picture_in_small(pair: Pair, home: str, person: MakePerson) -> None:
    alice, bob, _ = await meet(pair, home, person, "11")
    picture = io.BytesIO()
    Image.new("RGB", (640, 400), "teal").save(picture, "PNG")
    uri = await bob.upload(picture.getvalue(), "image/png", "lake.png")
    _, body = await alice.download(uri, "thumbnail", width="96", height="96", method="crop")
    with Image.open(io.BytesIO(body)) as small:
        assert small.size == (96, 96)
    _, body = await alice.download(uri, "thumbnail", width="320", height="240", method="scale")
    with Image.open(io.BytesIO(body)) as small:
        assert (small.width, small.height) == (320, 200)
    assert (await alice.download(uri))[1] == picture.getvalue()
