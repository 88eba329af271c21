"""A server changes its key, and what it signed before goes on being believed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from config.settings import FederationSettings, ListenerSettings
from homeserver.commands.errors import CommandError
from homeserver.commands.signing_key import load_or_create_signing_key, read_signing_key
from homeserver.commands.signing_key_rotation import old_keys_path, read_old_keys, retire_old_keys, rotate
from homeserver.protocol.signing import parse_signing_keys
from homeserver.protocol.x_matrix import sign_request
from tests.federation.conftest import ALPHA, FEDERATION_PORT, Home, World
from tests.homeserver import running_homeserver, server_settings


def test_a_new_key_signs_and_the_old_one_stays_public(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    first = load_or_create_signing_key(path)
    assert retire_old_keys(path, 1000) == []
    second = rotate(path)
    assert read_signing_key(path).key_id == second.key_id != first.key_id
    # Until the server is started again it signs with the first, so that is when it ends.
    (old,) = retire_old_keys(path, 2000)
    assert (old.key_id, old.verify_key, old.usable_until_ms) == (first.key_id, first.verify_key, 2000)
    assert [key.key_id for key in parse_signing_keys(path.read_text())] == [second.key_id]
    assert retire_old_keys(path, 3000) == [old]
    rotate(path)
    assert [each.usable_until_ms for each in retire_old_keys(path, 4000)] == [2000, 4000]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_crash_while_retiring_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    load_or_create_signing_key(path)
    rotate(path)
    before = path.read_text()
    (old,) = retire_old_keys(path, 2000)
    path.write_text(before)  # as if the second file had not been written any more
    assert retire_old_keys(path, 9000) == [old]


def test_twice_without_a_start_and_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    with pytest.raises(CommandError, match="cannot be read"):
        rotate(path)
    load_or_create_signing_key(path)
    rotate(path)
    with pytest.raises(CommandError, match="not been started"):
        rotate(path)
    for bad in ("ed25519 a", "rsa a b 1", "ed25519 a AAAA 1", "ed25519 a \xff 1"):
        old_keys_path(path).write_text(bad)
        with pytest.raises(CommandError, match="is not"):
            read_old_keys(path)


async def test_beta_believes_both_keys(world: World, beta: Home, tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    database = await world.postgres.clone()
    settings = server_settings(
        tmp_path / "alpha",
        server_name=ALPHA,
        listeners=(ListenerSettings(port=0), ListenerSettings(port=0, tls=world.authority.issue(ALPHA))),
        federation=FederationSettings(ca_file=world.authority.ca_file, ip_denylist=()),
    )
    dsn, uri = world.postgres.dsn_of(database), "/_matrix/federation/v1/media/download/nothing"
    keys = [load_or_create_signing_key(path)]
    statuses = []
    for _ in range(2):
        old = retire_old_keys(path, world.clock.now_ms())
        key = read_signing_key(path)
        async with running_homeserver(
            settings, dsn, world.clock, dns=world.dns, signing_key=key, old_keys=old
        ) as server:
            world.dns.point(ALPHA, FEDERATION_PORT, server.ports[1])
            header = {"Authorization": sign_request(key, "GET", uri, ALPHA, beta.server.server_name, None)}
            statuses.append((await beta.server.anonymous().raw("GET", uri, headers=header)).status)
            document = await server.anonymous().get("/_matrix/key/v2/server")
            keyring = server.application.federation.keyring
            signed = b"something of the past"
            # Our own events come back to us from others: they are checked with whichever key signed them.
            await keyring.verify(ALPHA, keys[0].key_id, signed, keys[0].sign(signed))
        world.clock.advance(ms=120_000)
        keys.append(rotate(path))
    assert statuses == [404, 404]
    assert list(document["verify_keys"]) == [keys[1].key_id]
    ((key_id, old_key),) = document["old_verify_keys"].items()
    assert (key_id, old_key["expired_ts"]) == (keys[0].key_id, world.clock.now_ms() - 120_000)
    keyring, signed = beta.server.application.federation.keyring, b"an event"
    signature = keys[0].sign(signed)
    await keyring.verify(ALPHA, keys[0].key_id, signed, signature, at_ms=old_key["expired_ts"] - 1)
    with pytest.raises(Exception, match="expired"):
        await keyring.verify(ALPHA, keys[0].key_id, signed, signature)
    await world.postgres.drop(database)
