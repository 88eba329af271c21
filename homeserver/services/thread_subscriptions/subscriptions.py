"""PUT, GET and DELETE /rooms/{roomId}/thread/{eventId}/subscription (MSC4306)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import Forbidden, MatrixError, NotFound, TooLarge
from homeserver.protocol.identifiers import check_event_id
from homeserver.protocol.relations import THREAD, relation_of
from homeserver.services.account_data.stream import AccountDataStream
from homeserver.services.requester import Requester
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.thread_subscriptions.index import SubscriptionIndex
from homeserver.services.timeline.open_room import OpenRoom, RoomOpener
from homeserver.services.timeline.single_event import EventFinder
from homeserver.services.visibility import Visibility
from homeserver.storage.database_errors import OUTCOME_UNKNOWN
from homeserver.storage.positions import StreamPosition
from homeserver.storage.thread_subscriptions import Subscription, ThreadSubscriptionRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_THREADS: Final = 10_000
"""About which one user may have said anything."""
NO_SUCH_THREAD: Final = "The thread was not found, or you may not see it"


class NotInThreadError(MatrixError):
    """What is to subscribe the user automatically is not in the thread."""

    def __init__(self) -> None:
        super().__init__("IO.ELEMENT.MSC4306.M_NOT_IN_THREAD", 400, "The event is not part of this thread")


class ConflictingUnsubscriptionError(MatrixError):
    """The user unsubscribed after what is to subscribe him automatically."""

    def __init__(self) -> None:
        super().__init__(
            "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION", 409, "You have unsubscribed since that event"
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ThreadSubscriptions:
    """Verbs over one user's subscription to one thread."""

    queries: Queries
    rows: ThreadSubscriptionRows
    index: SubscriptionIndex
    stream: AccountDataStream
    events: StreamPosition
    opener: RoomOpener
    finder: EventFinder
    visibility: Visibility

    async def get(self, requester: Requester, room_id: str, root_id: str) -> Subscription:
        """Raises NotFound, where he is not subscribed too."""
        opened = await self._open(requester, room_id, root_id)
        found = await self.rows.get(self.queries, requester.user_id, opened.room.room_nid, root_id)
        if found is None or not found.subscribed:
            raise NotFound("You are not subscribed to this thread")
        return found

    async def subscribe(self, requester: Requester, room_id: str, root_id: str, cause_id: str | None) -> None:
        """`cause_id`: the event of the thread that subscribes him automatically; None: he does it himself.

        Raises NotFound, NotInThreadError, ConflictingUnsubscriptionError, TooLarge.
        """
        opened = await self._open(requester, room_id, root_id)
        cause = None
        if cause_id is not None:
            cause = (await self._in_thread(requester, opened, root_id, cause_id)).position
        if not await self._subscribe(requester.user_id, opened.room.room_nid, root_id, cause):
            await self._check_unchanged(requester.user_id, opened.room.room_nid, root_id, cause)

    async def unsubscribe(self, requester: Requester, room_id: str, root_id: str) -> None:
        """Nothing happens where he is not subscribed. Raises NotFound."""
        opened = await self._open(requester, room_id, root_id)
        user_id, room_nid = requester.user_id, opened.room.room_nid
        await self._change(
            user_id, room_nid, root_id,
            lambda position: self.rows.unsubscribe(
                self.queries, user_id, room_nid, root_id, newest_event=self.events.current, position=position
            ),
        )  # fmt: skip

    async def _subscribe(self, user_id: str, room_nid: int, root_id: str, cause: int | None) -> bool:
        return await self._change(
            user_id, room_nid, root_id,
            lambda position: self.rows.subscribe(
                self.queries, user_id, room_nid, root_id, cause=cause, position=position, maximum=MAX_THREADS
            ),
        )  # fmt: skip

    async def _change(
        self, user_id: str, room_nid: int, root_id: str, write: Callable[[int], Awaitable[bool]]
    ) -> bool:  # fmt: skip
        """`write` takes a position of the stream and says whether it wrote; then the user's devices are woken."""
        async with self.stream.position.writing() as (position,):
            try:
                changed = await write(position)
            except OUTCOME_UNKNOWN:
                self.index.changed(user_id, room_nid, root_id, position)
                raise
            if changed:
                self.index.changed(user_id, room_nid, root_id, position)
        if changed:
            self.stream.announcer.wake(users=[user_id])
        return changed

    async def _check_unchanged(self, user_id: str, room_nid: int, root_id: str, cause: int | None) -> None:
        """Why nothing changed: he is subscribed, which is what was asked for, or it is refused."""
        found = await self.rows.get(self.queries, user_id, room_nid, root_id)
        if found is None:
            raise TooLarge(f"You have subscriptions to {MAX_THREADS} threads already")
        if not found.subscribed and cause is not None:
            raise ConflictingUnsubscriptionError

    async def _open(self, requester: Requester, room_id: str, root_id: str) -> OpenRoom:
        """ "If the thread does not exist, or if the user does not have access to it, returns 404/`M_NOT_FOUND`." """
        check_event_id(root_id)
        try:
            opened = await self.opener.open(room_id, requester.user_id)
            await self._visible(requester, opened, root_id)
        except (Forbidden, NotFound):
            raise NotFound(NO_SUCH_THREAD) from None
        return opened

    async def _visible(self, requester: Requester, opened: OpenRoom, event_id: str) -> TimelineEvent:
        event = await self.finder.find(opened.room, event_id)
        if not await self.visibility.see(opened.room, requester.user_id, [event], opened.perspective):
            raise NotFound(NO_SUCH_THREAD)
        return event

    async def _in_thread(
        self, requester: Requester, opened: OpenRoom, root_id: str, event_id: str
    ) -> TimelineEvent:  # fmt: skip
        try:
            event = await self._visible(requester, opened, check_event_id(event_id))
        except NotFound:
            raise NotInThreadError from None
        relation = relation_of(event.content)
        if relation is None or relation[:2] != (root_id, THREAD):
            raise NotInThreadError
        return event
