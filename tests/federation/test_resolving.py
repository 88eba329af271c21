"""From a server name to where its server listens: the steps of the specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from homeserver.federation.dns import Service
from homeserver.federation.resolver import Resolver, Route, Target, in_order
from homeserver.federation.well_known import MAX_BYTES, Page, WellKnown, lifetime_ms
from homeserver.protocol.errors import ConnectionFailed, InvalidParam
from tests.clock import FakeClock
from tests.dns import FakeDns

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
WELL_KNOWN = "https://alice.example/.well-known/matrix/server"


@dataclass(slots=True)
class Web:
    """Pages by URL."""

    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, url: str, max_bytes: int) -> Page:
        assert max_bytes == MAX_BYTES
        self.asked.append(url)
        if url not in self.pages:
            raise OSError("nobody is there")
        return self.pages[url]

    def says(self, body: bytes, status: int = 200, url: str = WELL_KNOWN, **headers: str) -> None:
        named: Mapping[str, str] = {key.replace("_", "-"): value for key, value in headers.items()}
        self.pages[url] = Page(status, named, body)


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def resolver(web: Web, dns: FakeDns, clock: FakeClock) -> Resolver:
    return Resolver(dns, WellKnown(web, clock), clock, lambda: 0.5)


def route(name: str, host: str, port: int, *, header: str | None = None) -> Route:
    return Route(header or name, name, (Target(host, port),))


@pytest.mark.parametrize(
    ("server_name", "expected"),
    [
        ("192.0.2.1", route("192.0.2.1", "192.0.2.1", 8448)),
        ("192.0.2.1:99", route("192.0.2.1", "192.0.2.1", 99, header="192.0.2.1:99")),
        ("[2001:db8::1]", route("2001:db8::1", "2001:db8::1", 8448, header="[2001:db8::1]")),
        ("[2001:db8::1]:99", route("2001:db8::1", "2001:db8::1", 99, header="[2001:db8::1]:99")),
        ("alice.example:99", route("alice.example", "alice.example", 99, header="alice.example:99")),
    ],
)
async def test_addresses_and_ports_are_taken_as_they_are(
    resolver: Resolver, web: Web, dns: FakeDns, server_name: str, expected: Route
) -> None:
    assert await resolver.resolve(server_name) == expected
    assert (web.asked, dns.asked) == ([], [])


@pytest.mark.parametrize(
    ("delegated", "expected"),
    [
        ("192.0.2.7", route("192.0.2.7", "192.0.2.7", 8448)),  # 3.1
        ("192.0.2.7:99", route("192.0.2.7", "192.0.2.7", 99, header="192.0.2.7:99")),
        ("hs.example:99", route("hs.example", "hs.example", 99, header="hs.example:99")),  # 3.2
        ("srv.example", Route("srv.example", "srv.example", (Target("new.example", 1),))),  # 3.3
        ("old.example", Route("old.example", "old.example", (Target("older.example", 2),))),  # 3.4
        ("plain.example", route("plain.example", "plain.example", 8448)),  # 3.5
    ],
)
async def test_a_domain_says_where_its_server_is(
    resolver: Resolver, web: Web, dns: FakeDns, delegated: str, expected: Route
) -> None:
    web.says(b'{"m.server": "%s"}' % delegated.encode())
    dns.srv["_matrix-fed._tcp.srv.example"] = [Service("new.example", 1)]
    dns.srv["_matrix._tcp.srv.example"] = [Service("wrong.example", 9)]
    dns.srv["_matrix._tcp.old.example"] = [Service("older.example", 2)]
    assert await resolver.resolve("alice.example") == expected
    assert web.asked == [WELL_KNOWN]


async def test_without_a_well_known_the_domain_itself_must_have_the_certificate(
    resolver: Resolver, dns: FakeDns, clock: FakeClock
) -> None:
    assert await resolver.resolve("alice.example") == route("alice.example", "alice.example", 8448)  # 6
    clock.advance(hours=1)
    dns.srv["_matrix._tcp.alice.example"] = [Service("old.example", 2)]
    assert await resolver.resolve("alice.example") == route("alice.example", "old.example", 2)  # 5
    clock.advance(hours=1)
    dns.srv["_matrix-fed._tcp.alice.example"] = [Service("new.example", 1)]
    assert await resolver.resolve("alice.example") == route("alice.example", "new.example", 1)  # 4


async def test_a_domain_that_says_it_has_no_server_has_none(resolver: Resolver, dns: FakeDns) -> None:
    dns.srv["_matrix-fed._tcp.alice.example"] = [Service(".", 0)]
    with pytest.raises(ConnectionFailed):
        await resolver.resolve("alice.example")


@pytest.mark.parametrize("name", ["", "a b", "alice.example/", "alice.example:99999", "[::1", "@alice", "é.example"])
async def test_what_is_no_server_name_is_refused(resolver: Resolver, web: Web, name: str) -> None:
    with pytest.raises(InvalidParam):
        await resolver.resolve(name)
    assert web.asked == []


@pytest.mark.parametrize("name", ["a..example", ".", "x" * 64 + ".example", "127.1", "2130706433", "alice.example:0"])
async def test_names_that_no_dns_has_are_not_asked_for(resolver: Resolver, web: Web, name: str) -> None:
    """Some of these are what old programs read as 127.0.0.1."""
    with pytest.raises(ConnectionFailed):
        await resolver.resolve(name)
    assert web.asked == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 200),
        (b"[]", 200),
        (b"{}", 200),
        (b'{"m.server": 7}', 200),
        (b'{"m.server": "not a name/"}', 200),
        (b'{"m.server": "hs.example:1"}', 404),
        (b"[" * 10_000, 200),
    ],
)
async def test_an_answer_that_nobody_understands_is_none(
    resolver: Resolver, web: Web, body: bytes, status: int
) -> None:
    web.says(body, status)
    assert (await resolver.resolve("alice.example")).targets == (Target("alice.example", 8448),)


async def test_answers_are_remembered_for_a_day_or_as_they_say(
    resolver: Resolver, web: Web, clock: FakeClock
) -> None:  # fmt: skip
    async def asked_again_after(ms: int) -> bool:
        clock.advance(ms=ms)
        web.asked.clear()
        await resolver.resolve("alice.example")
        return bool(web.asked)

    web.says(b'{"m.server": "hs.example:1"}')
    assert await asked_again_after(0)
    assert not await asked_again_after(24 * HOUR_MS - 1)
    web.says(b'{"m.server": "hs.example:1"}', Cache_Control="public, max-age=7200")
    assert await asked_again_after(1)
    assert not await asked_again_after(2 * HOUR_MS - 1)
    assert await asked_again_after(1)


@pytest.mark.parametrize(
    ("control", "lifetime"),
    [
        ("", 24 * HOUR_MS),
        ("max-age=3600", HOUR_MS),
        ("public,MAX-AGE = 3600", HOUR_MS),
        ("s-max-age=3600", 24 * HOUR_MS),
        ("max-age=1", 5 * MINUTE_MS),
        ("max-age=9999999999", 48 * HOUR_MS),
        ("max-age=nonsense", 24 * HOUR_MS),
        ("no-store", 5 * MINUTE_MS),
    ],
)
def test_how_long_an_answer_lives(control: str, lifetime: int) -> None:
    assert lifetime_ms({"Cache-Control": control}) == lifetime


async def test_errors_are_remembered_for_longer_each_time(resolver: Resolver, web: Web, clock: FakeClock) -> None:
    gaps = []
    for _ in range(8):
        web.asked.clear()
        waited = 0
        while not web.asked:
            await resolver.resolve("alice.example")
            clock.advance(minutes=1)
            waited += 1
        gaps.append(waited - 1)
    assert gaps == [0, 1, 3, 7, 15, 31, 59, 59]


async def test_a_web_server_that_is_away_does_not_take_the_homeserver_with_it(
    resolver: Resolver, web: Web, clock: FakeClock
) -> None:
    web.says(b'{"m.server": "hs.example:1"}')
    there = await resolver.resolve("alice.example")
    web.pages.clear()
    clock.advance(hours=25)
    assert await resolver.resolve("alice.example") == there
    clock.advance(hours=24)
    assert (await resolver.resolve("alice.example")).targets == (Target("alice.example", 8448),)


async def test_redirects_are_followed_to_https_only(resolver: Resolver, web: Web) -> None:
    web.says(b"", 301, Location="/other")
    web.says(b"", 307, url="https://alice.example/other", Location="https://elsewhere.example/x")
    web.says(b'{"m.server": "hs.example:1"}', url="https://elsewhere.example/x")
    assert (await resolver.resolve("alice.example")).host_header == "hs.example:1"


@pytest.mark.parametrize("location", ["http://alice.example/x", WELL_KNOWN, "file:///etc/passwd", "https://[", ""])
async def test_redirects_elsewhere_or_in_a_circle_are_not(resolver: Resolver, web: Web, location: str) -> None:
    web.says(b"", 302, Location=location)
    assert (await resolver.resolve("alice.example")).host_header == "alice.example"
    assert web.asked == [WELL_KNOWN]


async def test_a_chain_of_redirects_ends(resolver: Resolver, web: Web) -> None:
    web.says(b"", 302, Location="https://alice.example/0")
    for number in range(100):
        web.says(b"", 302, url=f"https://alice.example/{number}", Location=f"https://alice.example/{number + 1}")
    await resolver.resolve("alice.example")
    assert len(web.asked) == 31


def test_srv_records_come_by_priority_and_then_by_weight() -> None:
    first, heavy, light = Service("a", 1, 0, 0), Service("b", 1, 5, 90), Service("c", 1, 5, 10)
    assert in_order([light, heavy, first], lambda: 0.5) == [first, heavy, light]
    assert in_order([light, heavy, first], lambda: 0.05) == [first, light, heavy]
    assert in_order([Service("a", 1), Service("b", 1)], lambda: 0.99) == [Service("b", 1), Service("a", 1)]


async def test_memory_does_not_grow_with_the_names_of_strangers(resolver: Resolver, clock: FakeClock) -> None:
    resolver.well_known._known._capacity = resolver._services._capacity = 10
    for number in range(50):
        await resolver.resolve(f"host{number}.example")
    assert resolver.memory_usage() == {"services": 10}
    assert resolver.well_known.memory_usage() == {"hosts": 10}
