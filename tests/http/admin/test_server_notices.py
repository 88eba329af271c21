"""Ada, the administrator, tells Bob something."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import ServerNoticesSettings, Settings
from tests.cast import PASSWORD, Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings

PATH = "/_synapse/admin/v1/send_server_notice"
SPEAKER = "@notices:test"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    notices = ServerNoticesSettings(localpart="notices", display_name="The House", room_name="News of the house")
    return server_settings(tmp_path, server_notices=notices)


def notice(user: Client | str, text: str = "The house is painted.", **more: Any) -> dict[str, Any]:
    user_id = user if isinstance(user, str) else user.user_id
    return {"user_id": user_id, "content": {"msgtype": "m.text", "body": text}, **more}


async def test_bob_is_asked_in_and_reads_the_notice(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    event_id = (await ada.post(PATH, notice(bob)))["event_id"]
    answer = await bob.sync()
    (room_id,) = answer["rooms"]["invite"]
    shown = {event["type"]: event["content"] for event in answer.room(room_id, "invite")["invite_state"]["events"]}
    assert shown["m.room.name"] == {"name": "News of the house"}
    assert shown["m.room.member"]["membership"] == "invite"
    await bob.join(room_id)
    answer = await bob.sync()
    assert event_id in answer.event_ids(room_id)
    assert answer.account_data("m.tag", room_id) == {"tags": {"m.server_notice": {}}}
    assert (await bob.state(room_id, "m.room.member", SPEAKER))["displayname"] == "The House"
    # One room for all notices.
    again = (await ada.post(PATH, notice(bob, "And dry.")))["event_id"]
    assert again in (await bob.sync()).event_ids(room_id)
    assert (await bob.get("joined_rooms"))["joined_rooms"] == [room_id]


async def test_the_invitation_cannot_be_declined_but_the_room_can_be_left(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    await ada.post(PATH, notice(bob))
    (room_id,) = (await bob.sync())["rooms"]["invite"]
    refusal = (403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")
    await bob.leave(room_id, expect=refusal)
    await bob.set_state(room_id, "m.room.member", {"membership": "leave"}, bob.user_id, expect=refusal)
    await bob.join(room_id)
    await bob.leave(room_id)
    assert (await bob.get("joined_rooms"))["joined_rooms"] == []
    # The next notice asks him in again.
    await ada.post(PATH, notice(bob, "Another one."))
    assert list((await bob.sync())["rooms"]["invite"]) == [room_id]


async def test_nobody_else_speaks_there_or_puts_the_server_out(server: Server, ada: Client) -> None:
    bob, mallory = await server.register("bob"), await server.register("mallory")
    await ada.post(PATH, notice(bob))
    (room_id,) = (await bob.sync())["rooms"]["invite"]
    await bob.join(room_id)
    await bob.kick(room_id, SPEAKER, expect=403)
    await bob.ban(room_id, SPEAKER, expect=403)
    await bob.invite(room_id, mallory, expect=403)
    await bob.set_state(room_id, "m.room.name", {"name": "Mine"}, expect=403)
    await bob.put(("rooms", room_id, "send", "m.room.message", "1"), {"msgtype": "m.text", "body": "x"}, expect=403)


async def test_who_takes_no_invitations_takes_those_of_the_server(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    await bob.put(("user", bob.user_id, "account_data", "m.invite_permission_config"), {"default_action": "block"})
    await ada.post(PATH, notice(bob))
    answer = await bob.get("sync")
    assert len(answer["rooms"]["invite"]) == 1


async def test_the_same_transaction_says_it_once(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    first = await ada.put(f"{PATH}/abc", notice(bob))
    assert await ada.put(f"{PATH}/abc", notice(bob)) == first
    assert await ada.put(f"{PATH}/abd", notice(bob)) != first
    (room_id,) = (await bob.sync())["rooms"]["invite"]
    await bob.join(room_id)
    messages = (await bob.messages(room_id, filter='{"types":["m.room.message"]}'))["chunk"]
    assert len(messages) == 2


async def test_a_notice_may_be_state(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    pinned = (await ada.post(PATH, notice(bob)))["event_id"]
    await ada.post(
        PATH, {"user_id": bob.user_id, "type": "m.room.pinned_events", "state_key": "", "content": {"pinned": [pinned]}}
    )
    (room_id,) = (await bob.sync())["rooms"]["invite"]
    await bob.join(room_id)
    assert await bob.state(room_id, "m.room.pinned_events") == {"pinned": [pinned]}


async def test_two_notices_at_once_make_one_room(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    await asyncio.gather(*(ada.post(PATH, notice(bob, f"number {number}")) for number in range(5)))
    assert len((await bob.sync())["rooms"]["invite"]) == 1


async def test_nobody_signs_in_as_the_server(server: Server, ada: Client) -> None:
    await server.anonymous().post(
        "login", {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": SPEAKER}, "password": ""},
        expect=403,
    )  # fmt: skip
    await server.anonymous().post(
        "register", {"username": "notices", "password": PASSWORD, "auth": {"type": "m.login.dummy"}},
        expect=(400, "M_EXCLUSIVE"),
    )  # fmt: skip


async def test_nonsense_is_no_notice(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    bodies: list[tuple[Any, int]] = [
        ({}, 400), ({"user_id": "@bob:test"}, 400), (notice("bob"), 400), (notice("@bob:elsewhere.example"), 400),
        (notice("@nobody:test"), 404), (notice(SPEAKER), 404),
        (notice("@bob:test", type="m.room.member", state_key="@bob:test"), 400),
        (notice("@bob:test", type="m.room.create"), 400), ({"user_id": "@bob:test", "content": "text"}, 400),
        (notice("@bob:test", "x" * 70_000), 413), (notice("@bob:test", state_key=5), 400), ([], 400),
        (notice("@bob:test", content={"half": 0.5}), 400),
    ]  # fmt: skip
    for body, expect in bodies:
        await ada.post(PATH, body, expect=expect)
    assert "rooms" not in await bob.sync()


async def test_only_administrators_may(server: Server) -> None:
    mallory = await server.register("mallory")
    await mallory.post(PATH, notice(mallory), expect=(403, "M_FORBIDDEN"))
    await mallory.put(f"{PATH}/1", notice(mallory), expect=(403, "M_FORBIDDEN"))


class TestWithoutNotices:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return server_settings(tmp_path)

    async def test_there_are_none(self, server: Server, ada: Client) -> None:
        await ada.post(PATH, notice(ada), expect=(400, "M_UNKNOWN"))


async def test_a_suspended_user_hears_the_server(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    await ada.put(f"/_matrix/client/v1/admin/suspend/{bob.user_id}", {"suspended": True})
    await ada.post(PATH, notice(bob, "You were suspended."))
    (room_id,) = (await bob.sync())["rooms"]["invite"]
    await bob.join(room_id)
    assert "You were suspended." in [event["content"].get("body") for event in (await bob.sync()).timeline(room_id)]
    other = await ada.create_room(invite=[bob.user_id])
    await bob.join(other, expect=(403, "M_USER_SUSPENDED"))


async def test_nobody_who_had_the_name_before_speaks_for_the_server(
    tmp_path: Path, settings: Settings, database_dsn: str, clock: FakeClock
) -> None:
    """Mallory guesses what the user will be called once there are notices."""
    async with running_homeserver(server_settings(tmp_path), database_dsn, clock) as server:
        mallory = await server.register("notices")
        assert mallory.user_id == SPEAKER
    with pytest.raises(ConfigError, match="@notices:test"):
        async with running_homeserver(settings, database_dsn, clock):
            raise AssertionError("this server must not start")


async def test_the_speaker_is_known_by_his_type(server: Server, ada: Client) -> None:
    path = f"/_synapse/admin/v2/users/{SPEAKER}"
    assert (await ada.get(path))["user_type"] == "server_notices"
    for user_type in (None, "bot"):
        await ada.put(path, {"user_type": user_type}, expect=(403, "M_FORBIDDEN"))
    bob = await server.register("bob")
    await ada.put(
        f"/_synapse/admin/v2/users/{bob.user_id}", {"user_type": "server_notices"}, expect=(400, "M_INVALID_PARAM")
    )  # fmt: skip
