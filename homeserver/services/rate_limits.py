"""How often one may ask: a bucket per user (or address, before login) and class of request, in memory.

Each bucket is one number, the time at which it will be full again (the "generic cell rate algorithm", which is a token
bucket without a counter to refill). A restart forgives everybody. Several processes tell each other what was taken, where
they have a Redis (shared_rates.py).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from homeserver.protocol.errors import LimitExceeded
from homeserver.services.clock import Clock
from homeserver.services.requester import Requester


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, then one every `interval_ms`."""

    burst: int
    interval_ms: float


# Endpoints name one of these classes. Generous where a real client comes in bursts (opening a client asks for dozens of
# profiles and thumbnails), tight where guessing is the only reason for more.
DEFAULT_RATES: Final[Mapping[str, Rate]] = {
    "default": Rate(burst=300, interval_ms=20),
    "sync": Rate(burst=100, interval_ms=50),
    "message": Rate(burst=50, interval_ms=100),
    "room_create": Rate(burst=20, interval_ms=2_000),
    "join": Rate(burst=30, interval_ms=1_000),
    "invite": Rate(burst=50, interval_ms=1_000),
    # Those that come with a new room, one by one: a community that moves brings everybody along.
    "room_create_invite": Rate(burst=500, interval_ms=1_000),
    "login": Rate(burst=20, interval_ms=5_000),
    "registration": Rate(burst=20, interval_ms=5_000),
    # By address of who asks: each sends a mail to somebody.
    "mail": Rate(burst=10, interval_ms=30_000),
    # By the address that gets it, whoever asks.
    "mail_to_address": Rate(burst=5, interval_ms=5 * 60_000),
    # By user: each makes us ask a server of his choice, some of them several times.
    "identity_server": Rate(burst=20, interval_ms=3_000),
    "refresh": Rate(burst=30, interval_ms=1_000),
    "password": Rate(burst=10, interval_ms=10_000),
    # Guesses at one account's password, from wherever.
    "password_guess": Rate(burst=10, interval_ms=10_000),
    # Tokens that nobody has, from one address.
    "unknown_token": Rate(burst=100, interval_ms=100),
    # "Servers are encouraged to apply stricter than normal rate limiting"; each token takes two requests.
    "login_token": Rate(burst=6, interval_ms=30_000),
    # Signatures of other servers that could not be believed, from one address: checking them makes us ask around.
    "unknown_server": Rate(burst=50, interval_ms=1_000),
    # By the server that asks.
    "federation": Rate(burst=1_000, interval_ms=5),
    # By the server that asks: each costs the state of a room.
    "federation_join": Rate(burst=200, interval_ms=100),
    "federation_state": Rate(burst=200, interval_ms=100),
    # By the server that asks: each may be about thousands of users.
    "federation_keys": Rate(burst=300, interval_ms=50),
    "federation_knock": Rate(burst=50, interval_ms=1_000),
    "federation_invite": Rate(burst=200, interval_ms=500),
    # By server and invited user; by the user, whichever servers they are.
    "invite_received": Rate(burst=100, interval_ms=5_000),
    "invites_received": Rate(burst=1_000, interval_ms=1_000),
    # By address, from identity servers that prove nothing: each may make us ask other servers.
    "third_party_bind": Rate(burst=10, interval_ms=5_000),
    # By address: each may make us ask many servers.
    "key_query": Rate(burst=50, interval_ms=500),
    # By address, from nobody we know: each makes us ask a server of his choice.
    "stranger_asks": Rate(burst=30, interval_ms=1_000),
    # By user: what follows is cheap here, and comes in bursts when a client opens or a person clears up.
    "preferences": Rate(burst=200, interval_ms=50),
    "receipt": Rate(burst=200, interval_ms=50),
    "session": Rate(burst=100, interval_ms=500),
    "account": Rate(burst=20, interval_ms=2_000),
    "filter": Rate(burst=50, interval_ms=1_000),
    "pusher": Rate(burst=30, interval_ms=2_000),
    "openid": Rate(burst=50, interval_ms=1_000),
    # By user: everybody in the room is woken.
    "typing": Rate(burst=100, interval_ms=100),
    "presence": Rate(burst=50, interval_ms=500),
    # By user: each is an event; a moderator under a raid bans by the hundred.
    "membership": Rate(burst=300, interval_ms=100),
    "voice_moderation": Rate(burst=100, interval_ms=200),
    # By user: each is an event in the space; tools assign by the hundred.
    "roles": Rate(burst=300, interval_ms=100),
    # By user: each looks at all rooms of a space, and all their members.
    "role_plan": Rate(burst=20, interval_ms=1_000),
    # By user: encrypted rooms of thousands bring messages to devices by the thousand, some hundred a request.
    "to_device": Rate(burst=300, interval_ms=20),
    "keys": Rate(burst=100, interval_ms=200),
    # By user: each may ask other servers.
    "keys_query": Rate(burst=300, interval_ms=50),
    # By user: a client that makes a backup sends its keys page by page.
    "key_backup": Rate(burst=500, interval_ms=20),
    # By application service: each is a request to it.
    "appservice_ping": Rate(burst=10, interval_ms=5_000),
    # Each change of a name is an event in every room.
    "profile": Rate(burst=20, interval_ms=2_000),
    # By address: everybody in a house who is in a call restarts his leave every few seconds.
    "delayed_event": Rate(burst=300, interval_ms=10),
    # By address where the token service is asked: everybody of a house may come to a call at once.
    "call_token": Rate(burst=100, interval_ms=200),
    # By address: everybody of a house may come back at once, with several attempts each.
    "call_join": Rate(burst=300, interval_ms=50),
    # By address: an operator looks for what is wrong with his voice.
    "voice_probe": Rate(burst=10, interval_ms=6_000),
    # By address, from nobody we know. Two devices that wait for each other ask once a second each.
    "rendezvous": Rate(burst=200, interval_ms=200),
    # By address: pages of ours in people's browsers, and what is written into their forms; passwords are class "login".
    "web_page": Rate(burst=100, interval_ms=500),
    "web_form": Rate(burst=30, interval_ms=2_000),
    # By address, from clients that nobody has signed in to: each is a row.
    "oauth_begin": Rate(burst=20, interval_ms=5_000),
    # By address: everybody in a house refreshes, and devices that wait for somebody ask every five seconds.
    "oauth_token": Rate(burst=100, interval_ms=500),
    "rendezvous_begin": Rate(burst=20, interval_ms=5_000),
    # Somebody reads each of them.
    "report": Rate(burst=10, interval_ms=20_000),
    # By administrators: tools change hundreds of accounts and rooms one by one.
    "administration": Rate(burst=500, interval_ms=20),
    "key_claim": Rate(burst=200, interval_ms=50),
    "directory": Rate(burst=50, interval_ms=200),
    # Each may look at thousands of messages; people type a word, see, and type another.
    "search": Rate(burst=30, interval_ms=1_000),
    # Each page looks through the newest events of all rooms of the user.
    "notifications": Rate(burst=30, interval_ms=500),
    "media_upload": Rate(burst=50, interval_ms=500),
    "media_download": Rate(burst=500, interval_ms=10),
    # Each may make us fetch a page of somebody's choice; who scrolls through a room with links comes in bursts.
    "url_preview": Rate(burst=60, interval_ms=1_000),
}
OWN_RATE_LIMIT: Final = "message"
"""The class for which an administrator may give a user a rate of his own."""
# About 100 bytes each. Beyond this, buckets that are full (who has not asked for a while) are forgotten.
MAX_BUCKETS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Exemptions:
    """Who is not limited, beside application services whose registration says so."""

    admins: bool = True
    user_ids: Collection[str] = frozenset()

    def includes(self, requester: Requester) -> bool:
        """Whether this one may ask as often as he likes."""
        return requester.is_unlimited or (self.admins and requester.is_admin) or requester.user_id in self.user_ids


Bucket: TypeAlias = tuple[str, str]
"""(class of request, whose)"""


@dataclass(slots=True)
class BucketRateLimiter:
    """Counts requests in memory. Application services are limited where their registration does not say otherwise."""

    clock: Clock
    rates: Mapping[str, Rate] = field(default_factory=lambda: DEFAULT_RATES)
    max_buckets: int = MAX_BUCKETS
    exemptions: Exemptions = field(default_factory=Exemptions)
    own_rates: dict[str, Rate | None] = field(default_factory=dict)
    """By user id: how often he may send, where an administrator said so; None: he is not limited at all."""
    is_shared: bool = False
    """Whether `take_spent` will be called."""
    _full_again_ms: dict[Bucket, float] = field(default_factory=dict)
    _spent_ms: dict[Bucket, float] = field(default_factory=dict)

    def check(self, limit: str, requester: Requester | None, address: str) -> None:
        """Count one request. Raises LimitExceeded with `retry_after_ms`."""
        if requester is None:
            self.count(limit, network_of(address))
        elif not self.exemptions.includes(requester):
            rate = self._rate_of(limit, requester.user_id)
            if rate is not None:
                self._count(limit, requester.user_id, rate)

    def count(self, limit: str, key: str) -> None:
        """Count one of class `limit` for any `key`, whoever asks. Raises LimitExceeded; KeyError for an unknown class."""
        # Not the user's own rate: who may send as he likes is guessed at, and invited, no more often than others.
        self._count(limit, key, self.rates[limit])

    def _count(self, limit: str, key: str, rate: Rate) -> None:
        now_ms = self.clock.now_ms()
        full_again_ms = self._after_one_more(limit, key, rate, now_ms)
        bucket = (limit, key)
        if bucket not in self._full_again_ms and len(self._full_again_ms) >= self.max_buckets:
            self._forget_full(now_ms)
        self._full_again_ms[bucket] = full_again_ms
        if self.is_shared:
            self._spent_ms[bucket] = self._spent_ms.get(bucket, 0.0) + rate.interval_ms

    def check_left(self, limit: str, key: str) -> None:
        """Count nothing, but raise LimitExceeded where the next `count` would."""
        self._after_one_more(limit, key, self.rates[limit], self.clock.now_ms())

    def take_spent(self) -> dict[Bucket, float]:
        """What was taken since the last call, in milliseconds of each bucket's own time."""
        taken, self._spent_ms = self._spent_ms, {}
        return taken

    def settle(self, bucket: Bucket, until_full_ms: float) -> None:
        """All processes together have brought a bucket so far; what was taken here meanwhile comes on top."""
        self._full_again_ms[bucket] = self.clock.now_ms() + until_full_ms + self._spent_ms.get(bucket, 0.0)

    def _rate_of(self, limit: str, user_id: str) -> Rate | None:
        """For what a user asks; None: there is no limit."""
        if user_id in self.own_rates:
            own = self.own_rates[user_id]
            if own is None or limit == OWN_RATE_LIMIT:
                return own
        return self.rates[limit]

    def _after_one_more(self, limit: str, key: str, rate: Rate, now_ms: int) -> float:
        full_again_ms = max(self._full_again_ms.get((limit, key), 0.0), now_ms) + rate.interval_ms
        excess_ms = full_again_ms - now_ms - rate.burst * rate.interval_ms
        if excess_ms > 0:
            raise LimitExceeded("Too many requests", retry_after_ms=max(1, round(excess_ms)))
        return full_again_ms

    def _forget_full(self, now_ms: int) -> None:
        kept = {bucket: time_ms for bucket, time_ms in self._full_again_ms.items() if time_ms > now_ms}
        # Still too many are a flood from many addresses: forgiving all of them is better than growing without bound.
        self._full_again_ms = kept if len(kept) < self.max_buckets * 0.9 else {}


@dataclass(frozen=True, slots=True)
class NoRateLimiter:
    """Lets everybody do anything (settings: rate_limits.enabled = false)."""

    def check(self, limit: str, requester: Requester | None, address: str) -> None:
        """Do nothing."""

    def count(self, limit: str, key: str) -> None:
        """Do nothing."""

    def check_left(self, limit: str, key: str) -> None:
        """Do nothing."""


AnyRateLimiter: TypeAlias = BucketRateLimiter | NoRateLimiter


def network_of(address: str) -> str:
    """What one person has of addresses: an IPv4 address, or the 2^64 IPv6 addresses of one connection."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed), 64), strict=False))
