"""Alice gets mail about what she has not read, and no more than she can bear."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from homeserver.services.requester import on_behalf_of
from tests.cast import Client, Server
from tests.homeserver import server_settings
from tests.mail import MailServer

ADDRESS = "alice@example.org"
BASE_URL = "http://localhost:8008"


@pytest.fixture
def settings(tmp_path: Path, mail: MailServer) -> Settings:
    return server_settings(tmp_path, email=mail.settings())


def _pusher(address: str = ADDRESS, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "email",
        "app_id": "m.email",
        "pushkey": address,
        "app_display_name": "Email Notifications",
        "device_display_name": address,
        "lang": "en",
        "data": {"brand": "x"},
        **changes,
    }


async def _owns(server: Server, user: Client, address: str = ADDRESS) -> None:
    """As if the user had followed the link in a mail."""
    addresses = server.application.accounts.threepids.addresses
    assert await addresses.rows.add(addresses.database, "email", address, user.user_id, 1, 1)


async def _two(server: Server, name: str = "Kitchen") -> tuple[Client, Client, str]:
    """Bob's room with Alice in it, who wants mail."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat", name=name)
    await alice.join(room_id)
    await _owns(server, alice)
    await alice.post("pushers/set", _pusher())
    return alice, bob, room_id


async def _pass(server: Server, minutes: int) -> None:
    """Time goes by, and the server looks whom to write."""
    for _ in range(minutes):
        server.clock.advance(minutes=1)
        for _ in range(20):
            await asyncio.sleep(0.002)


async def _read(reader: Client, room_id: str, event_id: str) -> None:
    await reader.post(("rooms", room_id, "receipt", "m.read", event_id))


async def test_mail_comes_after_ten_minutes(server: Server, mail: MailServer) -> None:
    _, bob, room_id = await _two(server)
    await bob.put(("profile", bob.user_id, "displayname"), {"displayname": "Bob <b>the cook</b>"})
    await bob.send(room_id, "dinner <i>is</i> ready")
    await _pass(server, 9)
    assert mail.unread == 0
    await bob.send(room_id, "it gets cold")
    await _pass(server, 2)
    received = await mail.next(ADDRESS)
    assert received.subject == "Unread messages in Kitchen"
    assert "Bob <b>the cook</b>: dinner <i>is</i> ready" in received.text
    assert "it gets cold" in received.text
    assert "dinner &lt;i&gt;is&lt;/i&gt; ready" in received.html
    assert "<b>the" not in received.html
    await _pass(server, 30)
    assert mail.unread == 0


async def test_what_is_read_in_time_needs_no_mail(server: Server, mail: MailServer) -> None:
    alice, bob, room_id = await _two(server)
    await _read(alice, room_id, await bob.send(room_id, "hello"))
    await _pass(server, 12)
    assert mail.unread == 0


async def test_mails_become_rarer_until_the_room_is_read(server: Server, mail: MailServer) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "one")
    await _pass(server, 11)
    await mail.next()
    await bob.send(room_id, "two")
    await _pass(server, 11)
    assert "two" in (await mail.next()).text
    await bob.send(room_id, "three")
    await _pass(server, 15)
    assert mail.unread == 0
    await _pass(server, 7)
    received = await mail.next()
    assert "three" in received.text
    assert "two" not in received.text
    await _read(alice, room_id, await bob.send(room_id, "four"))
    await bob.send(room_id, "five")
    await _pass(server, 11)
    assert "five" in (await mail.next()).text


async def test_one_mail_has_all_rooms(server: Server, mail: MailServer) -> None:
    alice, bob, kitchen = await _two(server)
    garden = await bob.create_room(preset="public_chat", name="Garden")
    await alice.join(garden)
    await bob.send(kitchen, "soup")
    await bob.send(garden, "roses")
    secret = await bob.create_room(name="Cellar")
    await bob.invite(secret, alice)
    for number in range(8):
        await bob.send(kitchen, f"soup {number}")
    await _pass(server, 11)
    received = await mail.next()
    assert received.subject == "Unread messages in Kitchen and 2 other rooms"
    for words in ("Kitchen", "soup 7", "(4 earlier)", "Garden", "roses", "Cellar", "invites you"):
        assert words in received.text
        assert words in received.html
    assert "soup 2" not in received.text
    assert mail.unread == 0


async def test_what_was_unread_before_is_no_reason_for_mail(server: Server, mail: MailServer) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat")
    await alice.join(room_id)
    await bob.send(room_id, "old")
    await _owns(server, alice)
    await alice.post("pushers/set", _pusher())
    await bob.send(room_id, "new")
    await _pass(server, 11)
    received = await mail.next()
    assert "old" not in received.text
    assert received.subject == "Unread messages in bob"


async def test_muted_rooms_ignored_people_and_encrypted_words(server: Server, mail: MailServer) -> None:
    alice, bob, muted = await _two(server, "Muted")
    await alice.put(("pushrules", "global", "room", muted), {"actions": []})
    private = await bob.create_room(preset="public_chat", name="Private")
    await bob.set_state(private, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    await alice.join(private)
    quiet = await bob.create_room(preset="public_chat", name="Quiet")
    await bob.set_state(quiet, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    await alice.join(quiet)
    await alice.put(("pushrules", "global", "room", quiet), {"actions": []})
    encrypted = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "c2VjcmV0"}
    await bob.send(muted, "muted")
    await bob.send(quiet, encrypted, "m.room.encrypted")
    await bob.send(private, encrypted, "m.room.encrypted")
    await _pass(server, 11)
    received = await mail.next()
    assert received.subject == "Unread messages in Private"
    assert "(an encrypted message)" in received.text


async def test_only_addresses_of_the_account(server: Server, mail: MailServer) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    await _owns(server, alice)
    for address in (ADDRESS, "not an address", "a@b\r\nBcc: c@d"):
        await mallory.post("pushers/set", _pusher(address), expect="M_INVALID_PARAM")
    await alice.post("pushers/set", _pusher(app_id="else"), expect="M_INVALID_PARAM")
    await alice.post("pushers/set", _pusher("ALICE@example.org"))
    (pusher,) = (await alice.get("pushers"))["pushers"]
    assert pusher["pushkey"] == ADDRESS
    await alice.post("account/3pid/delete", {"medium": "email", "address": ADDRESS})
    assert (await alice.get("pushers"))["pushers"] == []


async def test_an_address_that_went_another_way_gets_no_mail(server: Server, mail: MailServer) -> None:
    alice, bob, room_id = await _two(server)
    await server.application.base.database.execute("DELETE FROM user_threepids")
    await bob.send(room_id, "hello")
    await _pass(server, 12)
    assert mail.unread == 0
    assert (await alice.get("pushers"))["pushers"] == []


async def test_the_link_in_the_mail_ends_it_without_a_login(server: Server, mail: MailServer) -> None:
    alice, bob, room_id = await _two(server)
    await bob.send(room_id, "hello")
    await _pass(server, 11)
    received = await mail.next()
    link = str(received.message["List-Unsubscribe"]).strip("<>")
    assert link in received.text
    assert received.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    stranger, target = server.anonymous(), link.removeprefix(BASE_URL)
    forged = target[:-1] + ("0" if target[-1] != "0" else "1")
    for method in ("GET", "POST"):
        assert (await stranger.raw(method, forged, encoded=True, check=False)).status == 403
    shown = await stranger.raw("GET", target, encoded=True, check=False)
    assert b"No more mail" in shown.body
    assert len((await alice.get("pushers"))["pushers"]) == 1
    one_click = {"Content-Type": "application/x-www-form-urlencoded"}
    ended = await stranger.raw(
        "POST", target, data=b"List-Unsubscribe=One-Click", headers=one_click, encoded=True, check=False
    )
    assert ended.status == 200
    assert (await alice.get("pushers"))["pushers"] == []
    assert (await stranger.raw("GET", target, encoded=True, check=False)).status == 200


async def test_made_up_links(server: Server, mail: MailServer) -> None:
    await _two(server)
    stranger, path = server.anonymous(), "/_matrix/client/unstable/org.voicechat/unsubscribe"
    for query in ("", "?pusher=1", "?pusher=x&token=y", f"?pusher={'9' * 40}&token=y", "?pusher=1&token=%C3%A4"):
        for method in ("GET", "POST"):
            answer = await stranger.raw(method, path + query, data=b"", encoded=True, check=False)
            assert answer.status in (200, 403)
    # None of them ended anything.
    assert len(server.application.push.pushers.registry.mailed) == 1


async def test_nobody_writes_to_alice_by_invitations_that_she_does_not_see(server: Server, mail: MailServer) -> None:
    alice, bob, _ = await _two(server)
    mallory = await server.register("mallory")
    wanted = {"ignored_users": [mallory.user_id]}
    await alice.put(("user", alice.user_id, "account_data", "org.matrix.msc4155.invite_permission_config"), wanted)
    await mallory.create_room(name="Cheap pills", invite=[alice.user_id])
    await bob.create_room(name="Garden", invite=[alice.user_id])
    await _pass(server, 11)
    received = await mail.next()
    assert received.subject == "Unread messages in Garden"
    assert "pills" not in received.text + received.html
    listed = (await alice.get("notifications"))["notifications"]
    assert [each["event"]["sender"] for each in listed if each["event"]["type"] == "m.room.member"] == [bob.user_id]


async def test_nothing_is_written_to_the_locked(server: Server, mail: MailServer) -> None:
    alice, bob, room_id = await _two(server)
    standings, ada = server.application.accounts.standings, on_behalf_of("@ada:test")
    await standings.set_locked(ada, alice.user_id, True)
    await bob.send(room_id, "secret")
    await _pass(server, 12)
    assert mail.unread == 0
    await standings.set_locked(ada, alice.user_id, False)
    await bob.send(room_id, "welcome back")
    await _pass(server, 12)
    assert "welcome back" in (await mail.next()).text


async def test_a_time_to_come_keeps_no_mail_back(server: Server, mail: MailServer) -> None:
    """Mallory's server says when her message was sent."""
    _, bob, room_id = await _two(server)
    event_id = await bob.send(room_id, "from the year 3000")
    await server.application.base.database.execute(
        "UPDATE events SET origin_server_ts = 32503680000000 WHERE event_id = $1", event_id
    )
    await bob.send(room_id, "dinner is ready")
    await _pass(server, 12)
    assert "dinner is ready" in (await mail.next()).text


async def test_mallory_does_not_fill_the_mailbox_with_new_rooms(server: Server, mail: MailServer) -> None:
    alice, _, _ = await _two(server)
    mallory = await server.register("mallory")
    for number in range(8):
        await mallory.create_room(name=f"Pills {number}", invite=[alice.user_id])
        await _pass(server, 1)
    await _pass(server, 3)
    assert (mail.unread, "Pills 0" in (await mail.next()).text) == (1, True)
    await _pass(server, 5)
    assert mail.unread == 0
    await _pass(server, 6)
    assert (mail.unread, "Pills 7" in (await mail.next()).text) == (1, True)


async def test_rooms_that_alice_is_not_in_any_more_are_not_remembered(server: Server, mail: MailServer) -> None:
    alice, bob, room_id = await _two(server)
    mallory = await server.register("mallory")
    pills = await mallory.create_room(name="Pills", invite=[alice.user_id])
    await _pass(server, 11)
    await mail.next()
    await alice.leave(pills)
    await bob.send(room_id, "dinner is ready")
    await _pass(server, 11)
    await mail.next()
    told = "SELECT r.room_id FROM mailed_rooms m JOIN rooms r USING (room_nid)"
    assert [row[0] for row in await server.application.base.database.fetch(told)] == [room_id]
