"""Stories about the backup of room keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
AUTH_DATA = {"public_key": "abcdefg", "signatures": {"@alice:test": {"ed25519:DEVICE": "signature"}}}
ROOM, OTHER_ROOM = "!one:test", "!two:test"


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


async def create(client: Client) -> str:
    body = {"algorithm": ALGORITHM, "auth_data": AUTH_DATA}
    version: str = (await client.post("room_keys/version", body))["version"]
    return version


def key(index: int = 3, forwarded: int = 0, *, verified: bool = False, data: str = "secret") -> dict[str, Any]:
    return {
        "first_message_index": index,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": {"ephemeral": "key", "ciphertext": data, "mac": "mac"},
    }


async def put(client: Client, version: str, value: Any, *path: str, **expected: Any) -> Any:
    return await client.put(("room_keys", "keys", *path), value, version=version, **expected)


async def get(client: Client, version: str, *path: str, **expected: Any) -> Any:
    return await client.get(("room_keys", "keys", *path), version=version, **expected)


# --- Versions ---


async def test_alice_makes_a_backup_and_finds_it_again(alice: Client) -> None:
    await alice.get("room_keys/version", expect=(404, "M_NOT_FOUND"))
    version = await create(alice)
    described = {"algorithm": ALGORITHM, "auth_data": AUTH_DATA, "count": 0, "etag": "0", "version": version}
    assert await alice.get("room_keys/version") == described
    assert await alice.get(("room_keys", "version", version)) == described


async def test_the_newest_backup_is_the_current_one_also_after_the_ninth(alice: Client) -> None:
    versions = [await create(alice) for _ in range(12)]
    assert len(set(versions)) == 12
    assert (await alice.get("room_keys/version"))["version"] == versions[-1]
    await alice.delete(("room_keys", "version", versions[-1]))
    assert (await alice.get("room_keys/version"))["version"] == versions[-2]
    assert await create(alice) not in versions


async def test_only_the_public_data_of_a_backup_changes(alice: Client) -> None:
    version = await create(alice)
    path = ("room_keys", "version", version)
    changed = {"public_key": "abcdefg", "signatures": {}}
    await alice.put(path, {"algorithm": ALGORITHM, "auth_data": changed, "version": version})
    assert (await alice.get(path))["auth_data"] == changed
    await alice.put(path, {"algorithm": "m.other", "auth_data": {}}, expect=(400, "M_INVALID_PARAM"))
    body = {"algorithm": ALGORITHM, "auth_data": {}, "version": "99"}
    await alice.put(path, body, expect=(400, "M_INVALID_PARAM"))
    await alice.put(("room_keys", "version", "99"), body, expect=(404, "M_NOT_FOUND"))
    assert (await alice.get(path))["auth_data"] == changed


async def test_a_deleted_backup_is_gone_with_its_keys(alice: Client) -> None:
    version = await create(alice)
    await put(alice, version, key(), ROOM, "session")
    path = ("room_keys", "version", version)
    await alice.delete(path)
    await alice.delete(path)
    await alice.get(path, expect=(404, "M_NOT_FOUND"))
    await get(alice, version, expect=(404, "M_NOT_FOUND"))
    await put(alice, version, key(), ROOM, "session", expect=(404, "M_NOT_FOUND"))
    again = await create(alice)
    assert await get(alice, again) == {"rooms": {}}


@pytest.mark.parametrize("version", ["0", "99", "bogus", "-1", "01", "9" * 40, "1.0"])
async def test_versions_that_never_were(alice: Client, version: str) -> None:
    await create(alice)
    path = ("room_keys", "version", version)
    await alice.get(path, expect=(404, "M_NOT_FOUND"))
    await alice.delete(path, expect=(404, "M_NOT_FOUND"))
    await get(alice, version, expect=(404, "M_NOT_FOUND"))
    await put(alice, version, {"rooms": {}}, expect=(404, "M_NOT_FOUND"))
    await alice.delete(("room_keys", "keys"), version=version, expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize(
    "body",
    [{}, {"algorithm": ALGORITHM}, {"algorithm": 5, "auth_data": {}}, {"algorithm": ALGORITHM, "auth_data": "x"}],
)
async def test_backups_of_the_wrong_form_are_refused(alice: Client, body: Any) -> None:
    await alice.post("room_keys/version", body, expect=400)


async def test_backups_of_another_algorithm_have_public_data_of_any_form(alice: Client) -> None:
    version = (await alice.post("room_keys/version", {"algorithm": "org.other", "auth_data": "opaque"}))["version"]
    path = ("room_keys", "version", version)
    await alice.put(path, {"algorithm": "org.other", "auth_data": ["more", "opaque"]})
    answer = await alice.raw("GET", path, check=False)  # The schema knows only the algorithm of the spec.
    assert answer.json()["auth_data"] == ["more", "opaque"]


async def test_public_data_is_limited(alice: Client) -> None:
    body = {"algorithm": ALGORITHM, "auth_data": {"public_key": "x" * 70_000}}
    await alice.post("room_keys/version", body, expect=(400, "M_INVALID_PARAM"))


async def test_every_user_has_backups_of_his_own(server: Server, alice: Client) -> None:
    mallory = await server.register("mallory")
    version = await create(alice)
    await put(alice, version, key(), ROOM, "session")
    await get(mallory, version, expect=(404, "M_NOT_FOUND"))
    await mallory.delete(("room_keys", "version", version), expect=(404, "M_NOT_FOUND"))
    assert await create(mallory) == version
    assert await get(mallory, version) == {"rooms": {}}


# --- Keys ---


async def test_keys_are_stored_and_read_in_three_depths(alice: Client) -> None:
    version = await create(alice)
    assert (await put(alice, version, key(1), ROOM, "a"))["count"] == 1
    assert (await put(alice, version, {"sessions": {"b": key(2), "c": key(3)}}, ROOM))["count"] == 3
    assert (await put(alice, version, {"rooms": {OTHER_ROOM: {"sessions": {"d": key(4)}}}}))["count"] == 4
    in_room = {"sessions": {"a": key(1), "b": key(2), "c": key(3)}}
    assert await get(alice, version, ROOM, "b") == key(2)
    assert await get(alice, version, ROOM) == in_room
    assert await get(alice, version) == {"rooms": {ROOM: in_room, OTHER_ROOM: {"sessions": {"d": key(4)}}}}


async def test_what_is_not_there_is_empty_and_a_session_not_found(alice: Client) -> None:
    version = await create(alice)
    assert await get(alice, version) == {"rooms": {}}
    assert await get(alice, version, ROOM) == {"sessions": {}}
    await get(alice, version, ROOM, "session", expect=(404, "M_NOT_FOUND"))


async def test_keys_are_deleted_in_three_depths(alice: Client) -> None:
    version = await create(alice)
    sessions = {"sessions": {"a": key(), "b": key(), "c": key()}}
    await put(alice, version, {"rooms": {ROOM: sessions, OTHER_ROOM: sessions}})
    counts = []
    for path in ((ROOM, "a"), (ROOM, "a"), (ROOM,), ()):
        state = await alice.delete(("room_keys", "keys", *path), version=version)
        counts.append((state["count"], state["etag"]))
    assert [count for count, _ in counts] == [5, 5, 3, 0]
    assert counts[0][1] == counts[1][1] != counts[2][1]
    assert await get(alice, version) == {"rooms": {}}


@pytest.mark.parametrize(
    "first, second, is_replaced",
    [
        (key(3), key(2), True),
        (key(3), key(4), False),
        (key(3, 1), key(3, 0), True),
        (key(3, 0), key(3, 1), False),
        (key(3, 0), key(3, 0, data="other"), False),
        (key(3, 0), key(9, 9, verified=True), True),
        (key(9, 9, verified=True), key(0, 0), False),
        (key(9, 9, verified=True), key(8, 9, verified=True), True),
        (key(3, 0), key(2, 9), True),
    ],
)
async def test_the_better_key_is_kept(
    alice: Client, first: dict[str, Any], second: dict[str, Any], is_replaced: bool
) -> None:
    version = await create(alice)
    before = await put(alice, version, first, ROOM, "session")
    after = await put(alice, version, second, ROOM, "session")
    assert await get(alice, version, ROOM, "session") == (second if is_replaced else first)
    assert after["count"] == 1
    assert (after["etag"] != before["etag"]) is is_replaced


async def test_keys_go_only_into_the_current_backup(alice: Client) -> None:
    old, new = await create(alice), await create(alice)
    for path, value in (((ROOM, "a"), key()), ((ROOM,), {"sessions": {"a": key()}}), ((), {"rooms": {}})):
        refused = await put(alice, old, value, *path, expect=(403, "M_WRONG_ROOM_KEYS_VERSION"))
        assert refused["current_version"] == new
    assert await get(alice, old) == {"rooms": {}}
    await alice.delete(("room_keys", "version", old))
    refused = await put(alice, old, key(), ROOM, "a", expect=(403, "M_WRONG_ROOM_KEYS_VERSION"))
    assert refused["current_version"] == new


async def test_the_version_has_to_be_named(alice: Client) -> None:
    await create(alice)
    path = ("room_keys", "keys")
    await alice.get(path, expect=(400, "M_MISSING_PARAM"))
    await alice.put(path, {"rooms": {}}, expect=(400, "M_MISSING_PARAM"))
    await alice.delete(path, expect=(400, "M_MISSING_PARAM"))


@pytest.mark.parametrize(
    "changes",
    [
        {"first_message_index": -1},
        {"first_message_index": "1"},
        {"first_message_index": 2**60},
        {"forwarded_count": 1.5},
        {"is_verified": "yes"},
        {"session_data": 5},
        {"session_data": {"ciphertext": "x" * 70_000}},
        {"session_data": None},
    ],
)
async def test_keys_of_the_wrong_form_are_refused(alice: Client, changes: dict[str, Any]) -> None:
    version = await create(alice)
    await put(alice, version, {**key(), **changes}, ROOM, "session", expect=400)
    await put(alice, version, {"sessions": {"session": {**key(), **changes}}}, ROOM, expect=400)
    assert await get(alice, version) == {"rooms": {}}


async def test_a_large_backup_is_stored_in_few_statements(server: Server, alice: Client) -> None:
    version = await create(alice)
    database = server.application.base.database
    rooms = {f"!room{room}:test": {"sessions": {f"s{n}": key() for n in range(100)}} for room in range(50)}
    before = database.statements
    assert (await put(alice, version, {"rooms": rooms}))["count"] == 5000
    assert database.statements - before <= 4
    assert await get(alice, version) == {"rooms": rooms}


async def test_long_names_are_refused_or_not_there(alice: Client) -> None:
    version, long = await create(alice), "x" * 300
    await put(alice, version, key(), ROOM, long, expect=(400, "M_INVALID_PARAM"))
    await get(alice, version, ROOM, long, expect=(404, "M_NOT_FOUND"))
    assert (await alice.delete(("room_keys", "keys", ROOM, long), version=version))["count"] == 0
