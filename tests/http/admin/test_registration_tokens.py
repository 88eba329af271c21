"""Ada, the administrator, hands out registration tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import RegistrationSettings, Settings
from tests.cast import PASSWORD, Client, Server
from tests.homeserver import server_settings

PATH = "/_synapse/admin/v1/registration_tokens"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, registration=RegistrationSettings(enabled=True, require_verification=True))


async def register(server: Server, name: str, token: str, expect: int = 200) -> Any:
    auth = {"type": "m.login.registration_token", "token": token}
    return await server.anonymous().post(
        "register", {"username": name, "password": PASSWORD, "auth": auth}, expect=expect
    )


async def test_a_token_lets_as_many_people_in_as_it_says(server: Server, ada: Client) -> None:
    made = await ada.post(f"{PATH}/new", {"uses_allowed": 1})
    assert made == {**made, "uses_allowed": 1, "pending": 0, "completed": 0, "expiry_time": None}
    assert len(made["token"]) == 16
    await register(server, "alice", made["token"])
    assert (await ada.get(f"{PATH}/{made['token']}"))["completed"] == 1
    await register(server, "bob", made["token"], expect=401)
    assert (await ada.put(f"{PATH}/{made['token']}", {"uses_allowed": None}))["uses_allowed"] is None
    await register(server, "bob", made["token"])


async def test_a_token_ends_with_its_time(server: Server, ada: Client) -> None:
    soon = server.clock.now_ms() + 1000
    await ada.post(f"{PATH}/new", {"token": "short", "expiry_time": soon})
    await ada.post(f"{PATH}/new", {"token": "long"})
    server.clock.advance(seconds=2)
    await register(server, "alice", "short", expect=401)
    assert [each["token"] for each in (await ada.get(PATH, valid=True))["registration_tokens"]] == ["long"]
    assert [each["token"] for each in (await ada.get(PATH, valid=False))["registration_tokens"]] == ["short"]
    assert len((await ada.get(PATH))["registration_tokens"]) == 2


async def test_a_deleted_token_is_gone(server: Server, ada: Client) -> None:
    await ada.post(f"{PATH}/new", {"token": "tea"})
    await ada.delete(f"{PATH}/tea")
    await ada.get(f"{PATH}/tea", expect=(404, "M_NOT_FOUND"))
    await ada.delete(f"{PATH}/tea", expect=(404, "M_NOT_FOUND"))
    await register(server, "alice", "tea", expect=401)


async def test_nonsense_is_refused(ada: Client) -> None:
    await ada.post(f"{PATH}/new", {"token": "twice"})
    bodies: list[dict[str, Any]] = [
        {"token": ""}, {"token": "a b"}, {"token": "x" * 65}, {"length": 0}, {"length": 65}, {"uses_allowed": -1},
        {"uses_allowed": 2**31}, {"expiry_time": 1}, {"uses_allowed": "1"}, {"token": "twice"},
    ]  # fmt: skip
    for body in bodies:
        await ada.post(f"{PATH}/new", body, expect=400)
    assert len((await ada.get(PATH))["registration_tokens"]) == 1


async def test_only_administrators_may(server: Server, ada: Client) -> None:
    await ada.post(f"{PATH}/new", {"token": "tea"})
    await register(server, "mallory", "tea")
    mallory = await server.anonymous().login("mallory", PASSWORD)
    await mallory.get(PATH, expect=(403, "M_FORBIDDEN"))
    await mallory.post(f"{PATH}/new", {}, expect=(403, "M_FORBIDDEN"))
    await mallory.delete(f"{PATH}/tea", expect=(403, "M_FORBIDDEN"))
    await server.anonymous().get(PATH, expect=(401, "M_MISSING_TOKEN"))
