"""Forgets what a deactivated account kept for itself: account data, push rules, receipts, subscriptions, its status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.push_rules import NO_CUSTOMISATION
from homeserver.protocol.push_rules.customisation import to_json
from homeserver.services.account_data.account_data import DELETED
from homeserver.services.account_data.ignored import IgnoredUsers
from homeserver.services.presence.presence import Presence
from homeserver.services.push_rules.push_rules import PushRules
from homeserver.services.thread_subscriptions.index import SubscriptionIndex
from homeserver.services.unread.own_reads import OwnReads
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.receipts import ReceiptRows

if TYPE_CHECKING:
    from homeserver.storage.database import Database


@dataclass(frozen=True, slots=True)
class ForgetReader:
    """One verb, a hook of services/accounts. Comes after the user left his rooms: leaving counts as reading."""

    database: Database
    account_data: AccountDataRows
    receipts: ReceiptRows
    ignored: IgnoredUsers
    push_rules: PushRules
    subscriptions: SubscriptionIndex
    own_reads: OwnReads
    presence: Presence

    async def __call__(self, user_id: str, erase: bool) -> None:
        """All of it, whether or not the user also wants his messages hidden. May be called twice."""
        await self.own_reads.flush_user(user_id)
        async with self.database.transaction() as tx:
            await self.account_data.forget(tx, user_id)
            await self.push_rules.rows.forget(tx, user_id, to_json(NO_CUSTOMISATION))
            await self.receipts.forget(tx, user_id)
            await self.subscriptions.rows.forget(tx, user_id)
        self.ignored.changed(user_id, DELETED)
        self.push_rules.forgotten(user_id)
        self.subscriptions.forget(user_id)
        await self.presence.forget(user_id)
