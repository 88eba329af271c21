"""E-mail pushers: tells people by mail what they have not read ("pushers", kind `email`)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.services.push.checks import EMAIL
from homeserver.services.push_mail.letter import MAX_ROOMS, compose

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.mail.letters import Letters
    from homeserver.services.push.pushers import Mailboxes, Pushers
    from homeserver.services.push_mail.digest import Digest, MakeDigest
    from homeserver.services.push_mail.due import DueReaders
    from homeserver.services.push_mail.unsubscribing import Unsubscribing
    from homeserver.services.standing.standings import Standings
    from homeserver.storage.database import Queries
    from homeserver.storage.mailed_rooms import MailedRoomRows
    from homeserver.storage.pushers import Pusher

INTERVAL_MS: Final = 30_000
MAX_USERS_AT_ONCE: Final = 200
RETRY_MS: Final = 10 * 60_000
KIND: Final = "unread_messages"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MailUnread:
    """A step that is repeated. What one user costs is a constant number of statements."""

    queries: Queries
    rows: MailedRoomRows
    pushers: Pushers
    mailboxes: Mailboxes
    due: DueReaders
    digest: MakeDigest
    letters: Letters
    unsubscribing: Unsubscribing
    standings: Standings
    clock: Clock

    async def look(self) -> None:
        """Called every INTERVAL_MS."""
        for user_id in await self.due.take(MAX_USERS_AT_ONCE):
            if self.standings.is_locked(user_id):
                continue
            for pusher in self.pushers.registry.enabled_of(user_id, EMAIL):
                try:
                    await self._look_at(pusher)
                except Exception:
                    log.exception("%s could not be told by mail what is unread", user_id)
                    self.due.at(user_id, self.clock.now_ms() + RETRY_MS)

    async def _look_at(self, pusher: Pusher) -> None:
        if pusher.pushkey not in await self.mailboxes.verified(pusher.user_id):
            # "the email address to send notifications to": it is not the user's any longer.
            await self.pushers.remove([pusher])
            return
        digest = await self.digest(pusher)
        if digest.next_ms is not None:
            self.due.at(pusher.user_id, digest.next_ms)
        if digest.rooms:
            await self._tell(pusher, digest)

    async def _tell(self, pusher: Pusher, digest: Digest) -> None:
        shown = digest.rooms[:MAX_ROOMS]
        senders = {event.sender for room in shown for event in room.events}
        names = await self.rows.names(self.queries, [room.told.room_nid for room in shown], senders)
        letter, link = compose(digest.rooms, names), self.unsubscribing.link(pusher)
        values = {"rooms": letter.rooms, "messages": letter.text, "user_id": pusher.user_id, "link": link}
        headers = {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
        try:
            self.letters.send(KIND, pusher.pushkey, values, html_values={"messages": letter.html}, headers=headers)
        except errors.Unavailable:
            self.due.at(pusher.user_id, self.clock.now_ms() + RETRY_MS)
            return
        await self.rows.put(self.queries, pusher.pusher_nid, self.clock.now_ms(), [each.told for each in digest.rooms])
