"""Accounts, sessions and what belongs to them, as the database keeps them."""

from __future__ import annotations

from homeserver.storage.database import Database
from homeserver.storage.devices import DeviceRows
from homeserver.storage.filters import FilterRows
from homeserver.storage.registration_tokens import RegistrationTokens
from homeserver.storage.sessions import NewTokens, Seen, SessionTokens, SignedIn
from homeserver.storage.ui_auth_sessions import UiAuthSession, UiAuthSessionRows
from homeserver.storage.users import NewUser, Users

ALICE = "@alice:test"
SEEN = Seen(100, "192.0.2.1", "agent")


async def make_alice(database: Database) -> None:
    assert await Users().create(database, NewUser(ALICE, 1, password_hash="hash", displayname="alice"))


async def sign_in(database: Database, device_id: str, token: bytes, expires_ms: int | None = None) -> SignedIn:
    return await SessionTokens().open(database, ALICE, device_id, None, SEEN, NewTokens(token, expires_ms))


async def test_a_user_id_is_taken_once(database: Database) -> None:
    await make_alice(database)
    assert not await Users().create(database, NewUser(ALICE, 2, password_hash="other"))
    user = await Users().get(database, ALICE)
    assert user is not None
    assert (user.password_hash, user.created_ms) == ("hash", 1)


async def test_a_deactivated_account_keeps_its_row_and_loses_the_rest(database: Database) -> None:
    await make_alice(database)
    await FilterRows().add(database, ALICE, b"digest", b"{}", 10)
    await database.execute("INSERT INTO user_threepids VALUES ('email', 'alice@example.org', $1, 1, 1)", ALICE)
    assert await Users().deactivate(database, ALICE, 50, erase=False)
    assert await Users().deactivate(database, ALICE, 60, erase=True)
    user = await Users().get(database, ALICE)
    assert user is not None
    assert (user.deactivated_ms, user.password_hash, user.erased) == (50, None, True)
    assert await Users().threepids(database, ALICE) == []
    assert await FilterRows().get(database, ALICE, 1) is None
    assert await Users().erased_among(database, [ALICE, "@bob:test"]) == {ALICE}
    assert not await Users().deactivate(database, "@nobody:test", 50, erase=True)


async def test_a_password_cannot_come_back_after_the_end(database: Database) -> None:
    await make_alice(database)
    await Users().deactivate(database, ALICE, 50, erase=False)
    await Users().set_password(database, ALICE, "new")
    await Users().replace_password_hash(database, ALICE, "hash", "new")
    user = await Users().get(database, ALICE)
    assert user is not None
    assert user.password_hash is None


async def test_an_administrator_who_is_gone_is_none(database: Database) -> None:
    await Users().create(database, NewUser(ALICE, 1, is_admin=True))
    assert await Users().has_admin(database)
    await Users().deactivate(database, ALICE, 2, erase=False)
    assert not await Users().has_admin(database)


async def test_signing_in_anew_revokes_what_the_device_had(database: Database) -> None:
    await make_alice(database)
    assert await sign_in(database, "PHONE", b"one") == SignedIn(is_new_device=True, revoked=[])
    assert await sign_in(database, "LAPTOP", b"two") == SignedIn(is_new_device=True, revoked=[])
    assert await sign_in(database, "PHONE", b"three") == SignedIn(is_new_device=False, revoked=[b"one"])
    tokens = SessionTokens()
    assert await tokens.by_access_token(database, b"one") is None
    found = await tokens.by_access_token(database, b"three")
    assert found is not None
    assert (found.user_id, found.device_id, found.expires_ms) == (ALICE, "PHONE", None)


async def test_deleting_devices_tells_which_tokens_end(database: Database) -> None:
    await make_alice(database)
    for device_id, token in (("PHONE", b"one"), ("LAPTOP", b"two"), ("TABLET", b"three")):
        await sign_in(database, device_id, token)
    deleted = await DeviceRows().delete(database, ALICE, ["PHONE", "NOWHERE"])
    assert (deleted.device_ids, deleted.token_hashes) == (["PHONE"], [b"one"])
    deleted = await DeviceRows().delete_all(database, ALICE, keep="TABLET")
    assert (deleted.device_ids, deleted.token_hashes) == (["LAPTOP"], [b"two"])
    assert [device.device_id for device in await DeviceRows().of_user(database, ALICE)] == ["TABLET"]


async def test_expired_tokens_are_forgotten_and_long_lived_ones_are_not(database: Database) -> None:
    await make_alice(database)
    await sign_in(database, "PHONE", b"short", expires_ms=1000)
    await sign_in(database, "LAPTOP", b"long")
    await SessionTokens().forget_expired(database, 1000)
    assert await SessionTokens().by_access_token(database, b"short") is not None
    await SessionTokens().forget_expired(database, 1001)
    assert await SessionTokens().by_access_token(database, b"short") is None
    assert await SessionTokens().by_access_token(database, b"long") is not None


async def test_what_was_seen_of_a_deleted_device_is_no_error(database: Database) -> None:
    await make_alice(database)
    await sign_in(database, "PHONE", b"one")
    device = await DeviceRows().get(database, ALICE, "PHONE")
    assert device is not None
    later = Seen(200, "192.0.2.2", "other agent")
    await DeviceRows().write_seen(database, {device.device_nid: later, 123_456: later})
    device = await DeviceRows().get(database, ALICE, "PHONE")
    assert device is not None
    assert (device.last_seen_ms, device.last_seen_ip, device.last_seen_user_agent) == (200, "192.0.2.2", "other agent")


async def test_registration_tokens_end_by_use_and_by_time(database: Database) -> None:
    tokens = RegistrationTokens()
    assert await tokens.add(database, "twice", 2, None, 0)
    assert not await tokens.add(database, "twice", 9, None, 0)
    assert [await tokens.use(database, "twice", 5) for _ in range(3)] == [True, True, False]
    await tokens.add(database, "today", None, 100, 0)
    assert await tokens.is_usable(database, "today", 99)
    assert not await tokens.is_usable(database, "today", 100)
    assert not await tokens.use(database, "today", 100)


async def test_two_stages_finished_at_once_are_both_kept(database: Database) -> None:
    rows = UiAuthSessionRows()
    await rows.add(database, UiAuthSession("session", "POST /register ", {}, {"user_id": ALICE}), 100)
    await rows.complete(database, "session", {"m.login.dummy": "done"})
    await rows.complete(database, "session", {"m.login.recaptcha": "solved"})
    session = await rows.get(database, "session", 99)
    assert session is not None
    assert session.completed == {"m.login.dummy": "done", "m.login.recaptcha": "solved"}
    assert session.memory == {"user_id": ALICE}
    assert await rows.get(database, "session", 100) is None
    await rows.forget_expired(database, 100)
    assert not await rows.delete(database, "session")


async def test_only_so_many_filters_are_stored(database: Database) -> None:
    await make_alice(database)
    rows = FilterRows()
    first = await rows.add(database, ALICE, b"1", b'{"a":1}', 2)
    assert first is not None
    assert await rows.add(database, ALICE, b"2", b'{"a":2}', 2) is not None
    assert await rows.add(database, ALICE, b"3", b'{"a":3}', 2) is None
    assert await rows.add(database, ALICE, b"1", b'{"a":1}', 2) == first
    assert await rows.get(database, ALICE, first) == b'{"a":1}'
    assert await rows.get(database, "@bob:test", first) is None
