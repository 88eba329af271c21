"""What a user's devices hear of his subscriptions: the sliding sync extension and the pages behind it (MSC4308)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import InvalidParam
from homeserver.services.sliding_sync.request import PagedExtension
from homeserver.services.sliding_sync.scene import Scene
from homeserver.services.thread_subscriptions.index import SubscriptionIndex
from homeserver.services.tokens import Place
from homeserver.storage.positions import StreamPosition
from homeserver.storage.thread_subscriptions import ChangedSubscription, ThreadSubscriptionRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

EXTENSION: Final = "io.element.msc4308.thread_subscriptions"
MAX_CHANGES: Final = 100


@dataclass(frozen=True, slots=True)
class SubscriptionExtension:
    """The extension. Asks nothing where nothing has changed."""

    queries: Queries
    rows: ThreadSubscriptionRows
    index: SubscriptionIndex
    name: str = EXTENSION

    async def answer(self, scene: Scene, config: PagedExtension) -> Mapping[str, Any] | None:
        """The newest changes; `prev_batch` where there are more of them."""
        known = scene.since is not None and self.name in scene.before.others
        since = scene.since.account_data if known and scene.since is not None else 0
        if not self.index.has_changed(scene.user_id, since):
            return None
        limit = max(1, min(config.limit, MAX_CHANGES))
        to = scene.snapshot.now.account_data
        found = await self.rows.changed(
            # Who hears of everything need not hear of what is over.
            self.queries, scene.user_id, since=since, to=to, with_ended=known, limit=limit + 1
        )  # fmt: skip
        if not found:
            return None
        answer = as_json(found[:limit])
        if len(found) > limit:
            answer["prev_batch"] = _token(found[limit - 1].position - 1)
        return answer


@dataclass(frozen=True, slots=True)
class SubscriptionPages:
    """GET /thread_subscriptions, "backpaginating"."""

    queries: Queries
    rows: ThreadSubscriptionRows
    stream: StreamPosition

    async def __call__(self, user_id: str, *, start: str | None, stop: str | None, limit: int) -> dict[str, Any]:
        """From `start` (None: from the end) back to `stop`. Raises InvalidParam for tokens that are none."""
        to = self.stream.current if start is None else _position(start)
        # The `pos` of a sliding sync says nothing of this stream: then the client gets what it has once more.
        since = 0 if stop is None or Place.parse(stop) is not None else _position(stop)
        found = await self.rows.changed(
            self.queries, user_id, since=since, to=to, with_ended=True, limit=limit + 1
        )  # fmt: skip
        answer = as_json(found[:limit])
        if len(found) > limit:
            answer["end"] = _token(found[limit - 1].position - 1)
        return answer


def as_json(changes: Iterable[ChangedSubscription]) -> dict[str, Any]:
    """By room and root; a later `bump_stamp` renders an earlier one obsolete."""
    answer: dict[str, Any] = {}
    for each in changes:
        kind = "subscribed" if each.subscribed else "unsubscribed"
        told: dict[str, Any] = {"bump_stamp": each.position}
        if each.subscribed:
            told["automatic"] = each.automatic
        answer.setdefault(kind, {}).setdefault(each.room_id, {})[each.root_id] = told
    return answer


def _token(position: int) -> str:
    return f"h{position}"


def _position(token: str) -> int:
    digits = token[1:]
    if token[:1] != "h" or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise InvalidParam("Not a pagination token of this server")
    return int(digits)
