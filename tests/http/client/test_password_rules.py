"""Which passwords people may choose, and with which addresses they may register."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import BreachedSettings, OutgoingHttpSettings, PasswordSettings, RegistrationSettings, Settings
from homeserver.composition.mail import problems_of_mail
from homeserver.services.accounts.breached import BreachedInFile, BreachedInRanges
from homeserver.services.threepids.domains import rules
from tests.cast import PASSWORD, Server
from tests.clock import FakeClock
from tests.dns import FakeDns
from tests.homeserver import running_homeserver, server_settings
from tests.mail import MailServer
from tests.people_with_mail import mail_request
from tests.websites import Website

STOLEN = "password1!"


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest().upper()


@pytest.fixture
def breached_list(tmp_path: Path) -> Path:
    """Sorted, with counts of various lengths."""
    lines = sorted(f"{sha1(f'stolen {number}')}:{10 ** (number % 9)}" for number in range(500))
    path = tmp_path / "stolen.txt"
    path.write_text("\r\n".join(sorted([*lines, f"{sha1(STOLEN)}:7"])) + "\r\n")
    return path


@pytest.fixture
def settings(tmp_path: Path, breached_list: Path) -> Settings:
    passwords = PasswordSettings(hash_cost="minimum", minimum_kinds=3, breached=BreachedSettings(file=breached_list))
    return server_settings(tmp_path, passwords=passwords)


def registering(name: str, password: str) -> dict[str, Any]:
    return {"username": name, "password": password, "auth": {"type": "m.login.dummy"}}


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("bob", "a1 b2"),
        ("bob", "only small letters"),
        ("bob", "small-letters-and-others"),
        ("bob", STOLEN),
        ("bobby-1960.x", "Bobby-1960.X"),
        ("bobby1960", "@bobby1960:test"),
    ],
)
async def test_passwords_that_are_too_weak(server: Server, name: str, password: str) -> None:
    nobody = server.anonymous()
    await nobody.post("register", registering(name, password), expect=(400, "M_WEAK_PASSWORD"))
    alice = await server.register("alice", password="Correct horse 7")
    body = {"new_password": password, "auth": alice.password_auth()}
    if name == "bob":
        await alice.post("account/password", body, expect=(400, "M_WEAK_PASSWORD"))
        await alice.login()


@pytest.mark.parametrize("password", ["Correct horse 7", "Größe-ß-1", "stolen-0A", "bob has 1 word"])
async def test_passwords_that_will_do(server: Server, password: str) -> None:
    assert (await server.register("bob", password=password)).user_id == "@bob:test"


async def test_an_old_password_stays_good(server: Server) -> None:
    """The rules came later."""
    await server.application.accounts.new_accounts.create_account("carol", "stolen 3")
    await server.anonymous().login("carol", "stolen 3")


async def test_every_line_of_the_list_is_found(breached_list: Path) -> None:
    is_breached = BreachedInFile(breached_list)
    is_breached.check_file()
    for number in random.Random(1).sample(range(500), 60):
        assert await is_breached(f"stolen {number}")
        assert not await is_breached(f"not stolen {number}")
    lines = breached_list.read_text().split()
    for line in (lines[0], lines[-1]):
        assert is_breached._contains(line[:40].encode())
    for digest in ("0" * 40, "F" * 40):
        assert not is_breached._contains(digest.encode())
    assert not await BreachedInFile(breached_list.with_name("gone"))(STOLEN)


def test_a_list_that_is_none_is_found_at_the_start(tmp_path: Path) -> None:
    from homeserver.app import build_application
    from homeserver.protocol.signing import SigningKey
    from homeserver.storage.database import Database

    path = tmp_path / "list.txt"
    path.write_text("password1\n")
    for file in (path, tmp_path / "gone"):
        settings = server_settings(tmp_path, passwords=PasswordSettings(breached=BreachedSettings(file=file)))
        with pytest.raises(ConfigError, match=r"passwords\.breached"):
            build_application(
                settings,
                Database("postgresql://nobody@127.0.0.1:1/nothing"),
                SigningKey.from_seed("a", bytes(32)),
                public_baseurl="http://localhost",
            )


async def test_a_range_api_learns_five_digits(database_dsn: str, clock: FakeClock, tmp_path: Path) -> None:
    digest, site, dns = sha1(PASSWORD), Website(), FakeDns()
    other = sha1("another long one")
    passwords = PasswordSettings(
        hash_cost="minimum", breached=BreachedSettings(range_url="http://ranges.example/range/")
    )
    settings = server_settings(tmp_path, passwords=passwords, outgoing_http=OutgoingHttpSettings(ip_denylist=()))
    async with site.running(), running_homeserver(settings, database_dsn, clock, dns=dns) as server:
        dns.point("ranges.example", 80, site.port)
        site.page(f"/range/{digest[:5]}", f"{'0' * 35}:9\r\n{digest[5:]}:3\r\n", "text/plain")
        site.page(f"/range/{other[:5]}", f"{other[5:]}:0\r\n", "text/plain")
        await server.anonymous().post("register", registering("bob", PASSWORD), expect="M_WEAK_PASSWORD")
        await server.anonymous().post("register", registering("bob", PASSWORD), expect="M_WEAK_PASSWORD")
        assert site.paths == [f"/range/{digest[:5]}"]
        assert site.asked[0].headers["Add-Padding"] == "true"
        # Padding is no hit.
        await server.anonymous().post("register", registering("bob", "another long one"))
        # 404, and later nobody at all: everybody may go on.
        await server.anonymous().post("register", registering("carol", "a third long one"))
        dns.hosts.clear()
        await server.anonymous().post("register", registering("dora", "a fourth long one"))


async def test_answers_that_cannot_be_understood() -> None:
    for said in ("", "<html>", ":::\n\n", sha1(STOLEN), None):

        async def ask(prefix: str, said: str | None = said) -> str | None:
            assert prefix == sha1(STOLEN)[:5]
            return said

        assert not await BreachedInRanges(ask)(STOLEN)


@pytest.mark.parametrize(
    ("allowed", "denied", "address", "may"),
    [
        ((), (), "a@example.org", True),
        (("Example.org",), (), "a@example.org", True),
        (("example.org",), (), "a@sub.example.org", False),
        (("*.example.org",), (), "a@x.sub.example.org", True),
        (("*.example.org",), (), "a@example.org", False),
        (("*.example.org",), (), "a@evilexample.org", False),
        (("example.org",), (), "example.org@evil.example", False),
        ((), ("*.example.org", "bad.test"), "a@bad.test", False),
        (("example.org",), ("example.org",), "a@example.org", False),
    ],
)  # fmt: skip
def test_domains(allowed: tuple[str, ...], denied: tuple[str, ...], address: str, may: bool) -> None:
    assert rules(allowed, denied).allow(address) == may


async def test_only_the_staff_registers(database_dsn: str, clock: FakeClock, tmp_path: Path, mail: MailServer) -> None:
    registration = RegistrationSettings(
        enabled=True,
        require_verification=False,
        email_domains=("*.example.org",),
        email_domains_denied=("old.example.org",),
    )
    settings = server_settings(tmp_path, registration=registration, email=mail.settings())
    async with running_homeserver(settings, database_dsn, clock) as server:
        nobody = server.anonymous()
        asked = await nobody.post("register", {"username": "bob", "password": PASSWORD}, expect=401)
        assert asked["flows"] == [{"stages": ["m.login.email.identity"]}]
        for address in ("bob@gmail.example", "bob@old.example.org", "bob@example.org"):
            body = mail_request(address)
            await nobody.post("register/email/requestToken", body, expect=(403, "M_THREEPID_DENIED"))
        await nobody.post("register/email/requestToken", mail_request("bob@staff.example.org"))
        await mail.next("bob@staff.example.org")
        await server.application.accounts.new_accounts.create_account("alice", PASSWORD)
        alice = await nobody.login("alice", PASSWORD)
        # Who has an account may have another address.
        await alice.post("account/3pid/email/requestToken", mail_request("alice@gmail.example"))


def test_domains_without_mail_are_a_mistake() -> None:
    settings = Settings(registration=RegistrationSettings(email_domains=("example.org",)))
    assert [each for each in problems_of_mail(settings) if "email_domains" in each]
