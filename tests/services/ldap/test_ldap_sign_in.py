"""Alice of the directory signs in here, and Mallory finds no way to the directory's people. A real slapd answers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import LdapGroupSettings, LdapSettings, RateLimitSettings, Settings
from homeserver.composition.ldap import directory_of
from homeserver.protocol import errors
from homeserver.services.ldap.ask import AskDirectory
from homeserver.services.ldap.client import LdapClient
from homeserver.services.ldap.sign_in import LdapSignIn
from homeserver.storage.external_ids import ExternalIdRows, WaysIn
from tests.cast import PASSWORD, Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings
from tests.slapd import IS_INSTALLED, READER, Slapd, running_slapd

pytestmark = pytest.mark.skipif(not IS_INSTALLED, reason="no slapd on this machine")

ALICE, CAROL = "through the looking glass", "carol in the directory"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd")) as slapd:
        yield slapd


@pytest.fixture
def ldap(slapd: Slapd, request: pytest.FixtureRequest) -> LdapSettings:
    changes = dict(getattr(request, "param", {}))
    if changes.get("url") == "starttls":
        changes["url"] = f"ldap://localhost:{slapd.port}"
    if "groups" in changes:
        changes["groups"] = LdapGroupSettings()
    return slapd.settings(**changes)


@pytest.fixture
def settings(tmp_path: Path, ldap: LdapSettings) -> Settings:
    return server_settings(tmp_path, ldap=ldap)


@pytest.fixture
async def seen(server: Server) -> list[tuple[str, str, set[str]]]:
    """Who has signed in, and his groups."""
    seen: list[tuple[str, str, set[str]]] = []

    async def note(user_id: str, provider: str, groups: Any) -> None:
        seen.append((user_id, provider, set(groups or ())))

    sign_in_of(server).on_signed_in.append(note)
    return seen


def sign_in_of(server: Server) -> LdapSignIn:
    (found,) = server.application.accounts.identity.credentials.directories
    assert isinstance(found, LdapSignIn)
    return found


async def sign_in(server: Server, user: str, password: str, expect: Any = 200) -> Any:
    identifier: dict[str, str] = {"type": "m.id.user", "user": user}
    if "@" in user[1:]:
        identifier = {"type": "m.id.thirdparty", "medium": "email", "address": user}
    body = {"type": "m.login.password", "identifier": identifier, "password": password}
    return await server.anonymous().post("login", body, expect=expect)


@pytest.mark.parametrize(
    "ldap",
    [{}, {"url": "starttls"}, {"bind_dn": READER, "groups": None}],
    indirect=True,
    ids=["ldaps", "StartTLS", "memberOf only"],
)
async def test_alice_signs_in(server: Server, seen: list[tuple[str, str, set[str]]]) -> None:
    answer = await sign_in(server, "alice", ALICE)
    assert answer["user_id"] == "@alice:test"
    alice = Client(server.session, server.base_url, access_token=answer["access_token"])
    assert (await alice.get("profile/@alice:test/displayname"))["displayname"] == "Alice L."
    assert [each["address"] for each in (await alice.get("account/3pid"))["threepids"]] == ["alice@example.org"]
    # The same account each time, by whatever name.
    for name in ("Alice", "@alice:test", "alice@example.org", "ALICE@example.org"):
        assert (await sign_in(server, name, ALICE))["user_id"] == "@alice:test"
    assert {each[:2] for each in seen} == {("@alice:test", "ldap")}


async def test_her_groups_are_told(server: Server, seen: list[tuple[str, str, set[str]]]) -> None:
    await sign_in(server, "alice", ALICE)
    assert seen == [("@alice:test", "ldap", {"staff", "R,D + (ops)*"})]


async def test_names_that_are_filters(server: Server, seen: list[tuple[str, str, set[str]]]) -> None:
    """Bob is really called so."""
    assert (await sign_in(server, "bob(*)", "can we fix it"))["user_id"] == "@bob=28=2a=29:test"
    assert seen == [("@bob=28=2a=29:test", "ldap", {"R,D + (ops)*"})]


@pytest.mark.parametrize(
    "name",
    [
        "*", "a*", "alice)(uid=*", "*)(uid=*))(|(uid=*", "alice\\2a", "ali{user}ce", "{dn}", "alice)(&", "(uid=alice)",
        "uid=alice", "uid=alice,ou=people,dc=example,dc=org", "al\x07ice", "a" * 300, " ", "",
    ],
)  # fmt: skip
async def test_mallory_writes_filters(server: Server, name: str) -> None:
    await sign_in(server, name, ALICE, expect=(403, "M_FORBIDDEN"))


async def test_an_empty_password_is_none(server: Server) -> None:
    """With it, a bind would be one of nobody, which many directories let succeed."""
    await sign_in(server, "alice", "", expect=(403, "M_FORBIDDEN"))


async def test_wrong_names_and_passwords_look_the_same(server: Server) -> None:
    await server.register("local")
    answers = [
        await sign_in(server, name, "guess", expect=(403, "M_FORBIDDEN"))
        for name in ("alice", "nobody", "local", "nobody@example.org", "@alice:elsewhere")
    ]
    assert len({each["error"] for each in answers}) == 1
    await sign_in(server, "@alice:elsewhere", ALICE, expect=403)


async def test_two_of_one_name_are_nobody(server: Server) -> None:
    await sign_in(server, "twin", "two of a kind", expect=403)


async def test_a_local_account_is_not_given_away(server: Server) -> None:
    carol = await server.register("carol")
    await sign_in(server, "carol", CAROL, expect=(403, "M_FORBIDDEN"))
    assert (await sign_in(server, "carol", PASSWORD))["user_id"] == carol.user_id


@pytest.mark.parametrize("ldap", [{"collisions": "number"}], indirect=True)
async def test_two_people_with_one_name(server: Server) -> None:
    local = await server.register("carol")
    other = await server.register("dora")
    assert (await sign_in(server, "carol", CAROL))["user_id"] == "@carol2:test"
    assert (await sign_in(server, "@carol2:test", CAROL))["user_id"] == "@carol2:test"
    assert (await sign_in(server, "carol", PASSWORD))["user_id"] == "@carol:test"
    # The other Carol's password proves nothing of this one.
    auth = {**local.password_auth(), "password": CAROL}
    await local.post("account/deactivate", {"auth": auth}, expect=(403, "M_FORBIDDEN"))
    await other.post("account/deactivate", {"auth": auth}, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("ldap", [{"collisions": "adopt"}], indirect=True)
async def test_the_directory_owns_all_names(server: Server) -> None:
    await server.register("carol")
    assert (await sign_in(server, "carol", CAROL))["user_id"] == "@carol:test"
    await server.application.accounts.new_accounts.create_account("alice", PASSWORD, admin=True)
    await sign_in(server, "alice", ALICE, expect=403)


@pytest.mark.parametrize("ldap", [{"allowed_groups": ("R,D + (ops)*",)}], indirect=True)
async def test_only_a_group_is_let_in(server: Server) -> None:
    await sign_in(server, "alice", ALICE)
    await sign_in(server, "carol", CAROL, expect=(403, "M_FORBIDDEN"))


@pytest.mark.parametrize("ldap", [{"registers": False}], indirect=True)
async def test_nobody_new(server: Server) -> None:
    await sign_in(server, "alice", ALICE, expect=(403, "M_FORBIDDEN"))


async def test_alice_proves_herself_with_the_password_of_the_directory(server: Server) -> None:
    answer = await sign_in(server, "alice", ALICE)
    alice = Client(server.session, server.base_url, "@alice:test", access_token=answer["access_token"], password=ALICE)
    second = await alice.login()
    # Where there are providers too: she has none of them.
    ways = await ExternalIdRows().ways_in(server.application.base.database, "@alice:test")
    assert ways == WaysIn(has_password=True, has_provider=False)
    await alice.delete(f"devices/{second.device_id}", {"auth": alice.password_auth()})


async def test_alice_has_no_password_here(server: Server) -> None:
    """With one, she would get in after she has left the organisation."""
    answer = await sign_in(server, "alice", ALICE)
    alice = Client(server.session, server.base_url, "@alice:test", access_token=answer["access_token"], password=ALICE)
    body = {"new_password": PASSWORD, "auth": alice.password_auth()}
    await alice.post("account/password", body, expect=(403, "M_FORBIDDEN"))
    with pytest.raises(errors.Forbidden):
        await server.application.accounts.accounts.check_is_ours("@alice:test")


async def test_who_has_left_for_good_is_not_let_in(server: Server) -> None:
    answer = await sign_in(server, "alice", ALICE)
    alice = Client(server.session, server.base_url, "@alice:test", access_token=answer["access_token"], password=ALICE)
    await alice.post("account/deactivate", {"auth": alice.password_auth()})
    await sign_in(server, "alice", ALICE, expect=(403, "M_USER_DEACTIVATED"))


async def test_local_people_sign_in_while_it_is_down(server: Server, slapd: Slapd) -> None:
    local = await server.register("local")
    await sign_in(server, "alice", ALICE)
    slapd.stop()
    try:
        await sign_in(server, "alice", ALICE, expect=(503, "M_UNKNOWN"))
        assert (await local.login()).user_id == "@local:test"
        # Nor does it say now who is whose.
        for name in ("nobody", "local"):
            await sign_in(server, name, "guess", expect=503)
    finally:
        slapd.start()
    server.clock.advance(seconds=16)
    await sign_in(server, "alice", ALICE)


async def test_connections_that_died_are_made_anew(server: Server, slapd: Slapd) -> None:
    await sign_in(server, "alice", ALICE)
    slapd.stop()
    slapd.start()
    await sign_in(server, "alice", ALICE)


async def test_certificates_are_checked(slapd: Slapd, database_dsn: str, clock: FakeClock, tmp_path: Path) -> None:
    for changes in ({"ca_file": None}, {"url": f"ldap://localhost:{slapd.port}", "ca_file": None}):
        settings = server_settings(tmp_path, ldap=slapd.settings(**changes))
        async with running_homeserver(settings, database_dsn, clock) as server:
            await sign_in(server, "alice", ALICE, expect=503)


async def test_a_directory_that_says_nothing(database_dsn: str, clock: FakeClock, slapd: Slapd, tmp_path: Path) -> None:
    """It accepts connections, and that is all. Whoever asks waits for his time limit, once; local people do not wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = f"ldap://127.0.0.1:{listener.getsockname()[1]}"
        settings = server_settings(
            tmp_path, ldap=slapd.settings(url=silent, start_tls=False, timeout_ms=300, connections=1)
        )
        async with running_homeserver(settings, database_dsn, clock) as server:
            local = await server.register("local")
            began = time.monotonic()
            await sign_in(server, "alice", ALICE, expect=503)
            assert time.monotonic() - began < 3
            began = time.monotonic()
            await sign_in(server, "alice", ALICE, expect=503)
            assert (await local.login()).user_id == "@local:test"
            assert time.monotonic() - began < 0.3


async def test_guesses_are_counted_for_each_person(
    database_dsn: str, clock: FakeClock, slapd: Slapd, tmp_path: Path
) -> None:
    settings = server_settings(tmp_path, ldap=slapd.settings(), rate_limits=RateLimitSettings())
    async with running_homeserver(settings, database_dsn, clock) as server:
        spellings = ("jane doe", "Jane  Doe", " JANE DOE ")
        for number in range(5):
            await sign_in(server, spellings[number % 3], "guess", expect=403)
        await sign_in(server, "jane doe", "guess", expect=(429, "M_LIMIT_EXCEEDED"))


async def test_a_few_at_a_time(slapd: Slapd, clock: FakeClock) -> None:
    """Twenty people at once take two threads, and leave two connections."""

    class Counting:
        def __init__(self, client: LdapClient) -> None:
            self.client, self.now, self.most, self.lock = client, 0, 0, threading.Lock()

        def check(self, name: str, external_id: str | None, password: str) -> Any:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            try:
                return self.client.check(name, external_id, password)
            finally:
                with self.lock:
                    self.now -= 1

        def close(self) -> None:
            self.client.close()

    client = LdapClient(directory_of(slapd.settings()), kept=2)
    counting = Counting(client)
    ask = AskDirectory(counting, clock, 10, at_once=2)
    found = await asyncio.gather(*(ask("alice", None, ALICE) for _ in range(20)))
    assert {each.dn for each in found if each} == {"uid=alice,ou=people,dc=example,dc=org"}
    assert (counting.most, client._idle.qsize()) == (2, 2)
    await ask.stop()
    assert client._idle.qsize() == 0
