"""E-mail pushers: mail about what somebody has not read."""

from __future__ import annotations

import hashlib
import hmac

from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.readers import ReaderServices
from homeserver.http.client.unsubscribe import UnsubscribeEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.protocol.signing import SigningKey
from homeserver.services.mail.letters import Letters
from homeserver.services.push.mailboxes import VerifiedMailboxes
from homeserver.services.push.past_actions import PastActions
from homeserver.services.push.pushers import Pushers
from homeserver.services.push.reader_rooms import FindNotifyingRooms
from homeserver.services.push_mail.digest import MakeDigest
from homeserver.services.push_mail.due import DueReaders
from homeserver.services.push_mail.mailing import INTERVAL_MS, MailUnread
from homeserver.services.push_mail.unsubscribing import Unsubscribing
from homeserver.services.standing.standings import Standings
from homeserver.storage.mailed_rooms import MailedRoomRows
from homeserver.storage.notifications import NotificationRows
from homeserver.storage.users import Users

UNSUBSCRIBE = b"org.voicechat.unsubscribe"


def build_push_mail(
    base: Foundation,
    accounts: AccountServices,
    readers: ReaderServices,
    pushers: Pushers,
    past: PastActions,
    letters: Letters | None,
    signing_key: SigningKey,
    public_baseurl: str,
) -> list[Endpoint]:
    """Links in mail end with the signing key that they were made with. `letters` None: the server sends no mail."""
    secret = hmac.new(signing_key.seed, UNSUBSCRIBE, hashlib.sha256).digest()
    unsubscribing = Unsubscribing(pushers, secret, public_baseurl)
    if letters is not None:
        mailboxes = VerifiedMailboxes(base.database, Users())
        pushers.mailboxes = mailboxes
        accounts.threepids.addresses.on_removed.append(pushers.address_removed)
        _mail(base, readers, accounts.standings, pushers, past, letters, unsubscribing, mailboxes)
    return list(endpoints_of(UnsubscribeEndpoints(unsubscribing)))


def _mail(
    base: Foundation,
    readers: ReaderServices,
    standings: Standings,
    pushers: Pushers,
    past: PastActions,
    letters: Letters,
    unsubscribing: Unsubscribing,
    mailboxes: VerifiedMailboxes,
) -> None:
    database, rows, clock, unread = base.database, MailedRoomRows(), base.clock, readers.unread
    due = DueReaders(database, rows, pushers.registry, clock)
    digest = MakeDigest(
        database, NotificationRows(), rows, FindNotifyingRooms(base.awake, readers.invite_filters), unread.rulesets,
        unread.counter.loudness, readers.ignored, unread.own_reads, past, clock,
    )  # fmt: skip
    mailing = MailUnread(database, rows, pushers, mailboxes, due, digest, letters, unsubscribing, standings, clock)
    base.announcer.on_events(due.events)
    base.announcer.on_outside(due.outside)
    base.life.on_started(due.begin)
    base.life.every(INTERVAL_MS, mailing.look, "mail-unread-messages")
    base.life.reports_memory("push_mail", due.memory_usage)
