"""What readers said about the thread of an event, for push rules (MSC4306)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.push_rules.facts import NO_THREAD, ThreadFacts
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.thread_subscriptions.index import SubscriptionIndex
from homeserver.services.unread.threads import MAIN, Threads


@dataclass(frozen=True, slots=True)
class ThreadReaders:
    """One verb. No statement where none of the room's readers has ever subscribed to a thread."""

    index: SubscriptionIndex
    threads: Threads

    async def of_event(self, room: LiveRoom, event_type: str, content: Mapping[str, Any]) -> ThreadFacts:
        """NO_THREAD for what is in none, or concerns nobody."""
        if "m.relates_to" not in content:
            return NO_THREAD
        readers = self._readers(room)
        if not readers:
            return NO_THREAD
        root = await self.threads.of_event(room, event_type, content)
        if root == MAIN:
            return NO_THREAD
        subscribed = await self.index.subscribers(room.room_nid, root)
        return ThreadFacts(readers & subscribed, readers - subscribed)

    def _readers(self, room: LiveRoom) -> frozenset[str]:
        """Those who subscribe to threads at all."""
        users, local = self.index.last, room.joined_local
        if len(users) < len(local):
            return frozenset(user_id for user_id in users if user_id in local)
        return frozenset(user_id for user_id in local if user_id in users)
