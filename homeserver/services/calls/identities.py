"""Who is behind the participants of the SFU, and which of them are there: everybody who has a token that may still be used.

Memory holds all of them and answers; the table is there for the next start, because a LiveKit goes on without us.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import Forbidden, LimitExceeded, Unavailable
from homeserver.storage.voice_identities import VoiceIdentity, VoiceIdentityRows
from voice.sfu.backend import Grant, Joined, LeaveReason, Left, RoomsLost, SfuEvent
from voice.tokens import LIFETIME_S

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

KEPT_MS: Final = 2 * LIFETIME_S * 1000
"""After the last token or sight: well beyond the end of any token."""
PRUNE_INTERVAL_MS: Final = 10 * 60_000
MAX_IDENTITIES: Final = 200_000
"""About half a kilobyte each."""
MAX_OF_USER: Final = 500
"""Within `KEPT_MS`. Clients of the sticky kind have a new identity each time they join."""

MAX_SEATS_OF_USER: Final = 10
"""In one call, with as many devices: places are few, and nobody takes all of them."""

Key = tuple[str, str]
"""(SFU room, identity)"""


@dataclass(slots=True)
class VoiceIdentities:
    """`find` and `of_room` are asked by everybody who hears of a participant."""

    queries: Queries
    rows: VoiceIdentityRows
    clock: Clock
    max_identities: int = MAX_IDENTITIES
    _known: dict[Key, VoiceIdentity] = field(default_factory=dict)
    _by_room: dict[str, set[Key]] = field(default_factory=dict)
    _of_user: dict[str, set[Key]] = field(default_factory=dict)
    _present: set[Key] = field(default_factory=set)
    _grants: dict[Key, Grant | None] = field(default_factory=dict)
    _regranted: set[Key] = field(default_factory=set)
    """Those whose grant has changed: a token of before may come in still, and says what he might do then."""

    async def start(self) -> None:
        """Before the first request: remember what was known before the restart."""
        since_ms = self.clock.now_ms() - KEPT_MS
        for known in await self.rows.all_since(self.queries, since_ms, self.max_identities):
            self._hold(known)
            self._regranted.add(known.key)  # what his tokens say is not remembered

    def find(self, sfu_room: str, identity: str) -> VoiceIdentity | None:
        """Who that participant is; None where he has no token of ours (a tool of the operator's)."""
        return self._known.get((sfu_room, identity))

    def everybody(self) -> list[VoiceIdentity]:
        """Everybody who has a token, there or not."""
        return list(self._known.values())

    def of_room(self, room_id: str) -> list[VoiceIdentity]:
        """Everybody who has a token for a call of this Matrix room, there or not."""
        return [self._known[key] for key in self._by_room.get(room_id, ())]

    def of_device(self, user_id: str, device_id: str) -> list[VoiceIdentity]:
        """Wherever that device has a token for."""
        known = (self._known[key] for key in self._of_user.get(user_id, ()))
        return [each for each in known if each.device_id == device_id]

    def of_user(self, user_id: str) -> list[VoiceIdentity]:
        """Wherever any of his devices has a token for."""
        return [self._known[key] for key in self._of_user.get(user_id, ())]

    def has_calls(self, room_id: str) -> bool:
        """Whether anybody has a token for a call of this Matrix room."""
        return room_id in self._by_room

    def is_present(self, sfu_room: str, identity: str) -> bool:
        """Whether the SFU has said that he came, and not that he went."""
        return (sfu_room, identity) in self._present

    def others_of(self, key: Key, user_id: str) -> int:
        """How many seats a user has in this call beside that one."""
        return sum(other[0] == key[0] and other != key for other in self._of_user.get(user_id, set()) & self._present)

    def note_grant(self, key: Key, grant: Grant | None) -> None:
        """What the SFU knows that he may do; None: nothing, his tokens are void."""
        if key not in self._known:
            return
        if self._grants.get(key, grant) != grant:
            self._regranted.add(key)
        self._grants[key] = grant

    def forget_grant(self, key: Key) -> None:
        """What the SFU knows of him is not known."""
        self._grants.pop(key, None)

    def has_grant(self, key: Key) -> bool:
        """Whether the SFU knows that he may do something."""
        return self._grants.get(key) is not None

    def is_granted(self, key: Key, grant: Grant | None) -> bool:
        """Whether the SFU knows exactly this."""
        return key in self._grants and self._grants[key] == grant

    def may_come_with_another(self, key: Key) -> bool:
        """Whether he may have a token that says something else than his grant."""
        return key in self._regranted

    def with_delegation(self) -> Iterator[VoiceIdentity]:
        """Those who handed us their leave event."""
        return (each for each in self._known.values() if each.delay_id is not None)

    async def remember(self, new: VoiceIdentity) -> VoiceIdentity:
        """He is about to get a token. Raises Forbidden where the identity is somebody else's, LimitExceeded."""
        known = self._known.get(new.key)
        if known is not None and known.user_id != new.user_id:
            # `@a:h` with the device `8448:B` and `@a:h:8448` with the device `B` have the same name at the SFU.
            raise Forbidden("Somebody else is in this call under that name")
        if known is None:
            self._check_space(new.user_id)
        now_ms = self.clock.now_ms()
        if known is not None:
            new = replace(new, delay_id=known.delay_id, delay_ms=known.delay_ms)
        held = self._hold(replace(new, seen_ms=now_ms))
        await self.rows.put(self.queries, held)
        return held

    async def delegate(self, of: VoiceIdentity, delay_id: str, delay_ms: int) -> None:
        """He hands us the delayed event that says that he left."""
        held = self._known.get(of.key)
        if held is not None:
            self._known[of.key] = replace(held, delay_id=delay_id, delay_ms=delay_ms)
        await self.rows.delegate(self.queries, of.key, delay_id, delay_ms)

    async def end_delegations(self, keys: Sequence[Key]) -> None:
        """Those events are done with."""
        for key in keys:
            if key in self._known:
                self._known[key] = replace(self._known[key], delay_id=None, delay_ms=None)
        if keys:
            await self.rows.end_delegations(self.queries, keys)

    def follow(self, event: SfuEvent) -> None:
        """Keep track of who is there. A listener of the SFU, before all others."""
        match event:
            case Joined(room, participant):
                self._present.add((room, participant.identity))
            case Left(room, identity, _, reason) if reason is not LeaveReason.DUPLICATE:
                self._present.discard((room, identity))
            case RoomsLost(rooms):
                lost = frozenset(rooms)
                self._present = {key for key in self._present if key[0] not in lost}

    async def prune(self) -> None:
        """Housekeeping: forget those whose tokens have ended and who are not in a call."""
        now_ms = self.clock.now_ms()
        there = [key for key in self._present if key in self._known]
        for key in there:
            self._known[key] = replace(self._known[key], seen_ms=now_ms)
        if there:
            await self.rows.seen(self.queries, there, now_ms)
        for key in [key for key, known in self._known.items() if known.seen_ms < now_ms - KEPT_MS]:
            self._drop(key)
        await self.rows.forget_before(self.queries, now_ms - KEPT_MS)

    def memory_usage(self) -> Mapping[str, int]:
        return {"identities": len(self._known), "present": len(self._present)}

    def _check_space(self, user_id: str) -> None:
        if len(self._of_user.get(user_id, ())) >= MAX_OF_USER:
            raise LimitExceeded("Too many calls joined", retry_after_ms=PRUNE_INTERVAL_MS)
        if len(self._known) >= self.max_identities:
            raise Unavailable("Too many people have joined calls; try again later")

    def _hold(self, new: VoiceIdentity) -> VoiceIdentity:
        self._known[new.key] = new
        self._by_room.setdefault(new.room_id, set()).add(new.key)
        self._of_user.setdefault(new.user_id, set()).add(new.key)
        return new

    def _drop(self, key: Key) -> None:
        known = self._known.pop(key)
        self._grants.pop(key, None)
        self._regranted.discard(key)
        _discard(self._by_room, known.room_id, key)
        _discard(self._of_user, known.user_id, key)


def _discard(index: dict[str, set[Key]], of: str, key: Key) -> None:
    keys = index[of]
    keys.discard(key)
    if not keys:
        del index[of]
