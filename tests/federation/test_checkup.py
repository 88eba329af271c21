"""What is wrong with the way to a server, said in a sentence."""

from __future__ import annotations

import datetime
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from config.settings import PRIVATE_NETWORKS, FederationSettings, ListenerSettings
from homeserver.commands.doctor_federation import examine_federation
from homeserver.federation.checkup.checkup import Checkup
from homeserver.federation.dns import Service
from homeserver.federation.keyring import SERVER_KEYS
from homeserver.federation.well_known import PATH
from tests.commands.processes import voicechat, written_config
from tests.federation.authority import Authority
from tests.federation.conftest import ALPHA, FEDERATION_PORT, Home, Us, World
from tests.federation.peers import Peer, key_document, running_peer, signing_key
from tests.homeserver import server_settings

ALPHAS_KEY = signing_key(11, "key1")
VERSION = "/_matrix/federation/v1/version"


def wall_ms() -> int:
    return round(time.time() * 1000)


def checkup(us: Us, world: World, name: str = ALPHA, refused: Sequence[str] = (), wall: int | None = None) -> Checkup:
    key = ALPHAS_KEY if name == ALPHA else signing_key(2)
    now = wall_ms() if wall is None else wall
    return Checkup(name, key, world.dns, us.resolver, us.connections, refused, world.clock.now_ms, lambda: now)


async def findings(checkup: Checkup) -> list[tuple[bool, str]]:
    return [(each.well, each.sentence) async for each in checkup.run()]


async def wrong(checkup: Checkup) -> str:
    return " / ".join(sentence for well, sentence in await findings(checkup) if not well)


@pytest.fixture
def healthy(peer: Peer) -> Peer:
    """`peer.example` answers as a homeserver does."""
    peer.says(VERSION, {"server": {"name": "Peer", "version": "1"}})
    peer.says(SERVER_KEYS, key_document("peer.example", signing_key(2)))
    return peer


async def test_a_server_that_is_well(alpha: Home, us: Us, world: World) -> None:
    found = await findings(checkup(us, world, wall=wall_ms() - 20 * 24 * 3600_000))
    clock = [sentence for well, sentence in found if not well]
    assert len(clock) == 1
    assert "differ by 17279" in clock[0] or "differ by 1728" in clock[0]
    assert all(any(text in sentence for _, sentence in found) for text in ("VoiceChat", "key1, and it is ours", "8448"))


async def test_a_certificate_that_ends_soon(alpha: Home, us: Us, world: World) -> None:
    """The authority of the tests gives certificates for a day."""
    assert "ends in 0 days" in await wrong(checkup(us, world))


async def test_a_certificate_for_another_name(authority: Authority, us: Us, world: World) -> None:
    async with running_peer(authority.context("else.example")) as peer:
        world.dns.point("peer.example", FEDERATION_PORT, peer.port)
        said = await wrong(checkup(us, world, "peer.example"))
    assert "another name than peer.example" in said
    assert "could not be asked anything" in said


def self_made(folder: Path, days: tuple[int, int]) -> ssl.SSLContext:
    """A certificate that nobody has signed, or that is over."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer.example")])
    begin, end = (now + datetime.timedelta(days=each) for each in days)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(begin).not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("peer.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "self.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_certificate_that_nobody_signed(us: Us, world: World, tmp_path: Path) -> None:
    async with running_peer(self_made(tmp_path, (-1, 100))) as peer:
        world.dns.point("peer.example", FEDERATION_PORT, peer.port)
        assert "an authority that nobody knows" in await wrong(checkup(us, world, "peer.example"))


async def test_nobody_there(us: Us, world: World) -> None:
    assert "has no address in the DNS" in await wrong(checkup(us, world, "peer.example"))
    world.dns.point("peer.example", FEDERATION_PORT, 1)
    assert "Nobody answers at 127.0.0.1 port 1: start" in await wrong(checkup(us, world, "peer.example"))
    world.dns.srv["_matrix-fed._tcp.gone.example"] = [Service(".", 0)]
    assert "cannot find the server gone.example" in await wrong(checkup(us, world, "gone.example"))


async def test_an_address_inside(alpha: Home, us: Us, world: World) -> None:
    said = await wrong(checkup(us, world, refused=PRIVATE_NETWORKS))
    assert "alpha.example leads to 127.0.0.1, which others do not contact" in said


async def test_no_tls(alpha: Home, us: Us, world: World) -> None:
    world.dns.point(ALPHA, FEDERATION_PORT, alpha.server.ports[0])
    assert "there is no TLS" in await wrong(checkup(us, world))


async def test_delegation(healthy: Peer, authority: Authority, us: Us, world: World) -> None:
    world.dns.point("named.example", 443, healthy.port)
    async with running_peer(authority.context("named.example")) as web:
        world.dns.point("named.example", 443, web.port)
        web.says(PATH, {"m.server": "peer.example:8448"})
        found = await findings(checkup(us, world, "named.example"))
        assert (True, f"https://named.example{PATH} delegates to peer.example:8448.") in found
        assert "A server named peer.example answers there, not named.example" in await wrong(
            checkup(us, world, "named.example")
        )
        for bad in (b"<html>", {"m.server": "a b"}, []):
            web.says(PATH, bad)
            assert "nothing that others understand" in await wrong(checkup(us, world, "named.example"))


async def test_keys(healthy: Peer, us: Us, world: World) -> None:
    async def keys_of(document: object, status: int = 200) -> str:
        healthy.says(SERVER_KEYS, document, status)
        return await wrong(checkup(us, world, "peer.example"))

    name, key, other = "peer.example", signing_key(2), signing_key(3)
    assert "keys" not in await keys_of(key_document(name, key))
    assert "does not sign with ed25519:a_peer" in await keys_of(key_document(name, other))
    assert "end within the hour" in await keys_of(key_document(name, key, valid_until_ms=world.clock.now_ms() + 60_000))
    assert "does not sign with" in await keys_of(key_document(name, key, valid_until_ms=world.clock.now_ms() - 1))
    assert "cannot be read there" in await keys_of({**key_document(name, key), "valid_until_ts": 1})
    assert "cannot be read there (404" in await keys_of({"errcode": "M_UNRECOGNIZED"}, 404)
    assert "cannot be read there" in await keys_of(b"<html>")


async def test_a_proxy_that_passes_nothing_on(healthy: Peer, us: Us, world: World) -> None:
    healthy.says(VERSION, b"<html>", 404)
    assert "answers 404 and no Matrix answer" in await wrong(checkup(us, world, "peer.example"))


async def test_the_command_looks_with_the_settings(alpha: Home, world: World) -> None:
    federation = FederationSettings(ca_file=world.authority.ca_file)
    settings = server_settings(
        world.folder, federation=federation, listeners=(ListenerSettings(resources=("client",)),)
    )
    found = [each async for each in examine_federation(settings, ALPHA, ALPHAS_KEY, world.dns)]
    said = " / ".join(each.sentence for each in found if not each.well)
    assert "No listener has the resource `federation`" in said
    assert "127.0.0.1, which others do not contact" in said


def test_the_command_says_how_it_went(tmp_path: Path) -> None:
    off = voicechat("doctor", "federation", "--config", written_config(tmp_path, 1, "federation: {enabled: false}\n"))
    assert (off.returncode, off.stdout.partition(" ")[0]) == (0, "note")
    config = written_config(tmp_path, 1)
    without = voicechat("doctor", "federation", "--config", config)
    assert without.returncode == 1
    assert "signing key" in without.stderr
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data/signing.key").write_text("ed25519 a_x AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
    changed = voicechat("signing-key", "rotate", "--config", config)
    assert (changed.returncode, "restart the server" in changed.stdout) == (0, True)
    assert voicechat("signing-key", "rotate", "--config", config).returncode == 1
    assert "The server signs with ed25519:a_" in voicechat("signing-key", "show", "--config", config).stdout
