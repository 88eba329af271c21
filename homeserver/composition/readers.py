"""What belongs to readers: receipts, read markers, typing, account data, tags, presence, push rules, unread counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.composition.memberships import notices_user
from homeserver.http.client.account_data import AccountDataEndpoints
from homeserver.http.client.presence import PresenceEndpoints
from homeserver.http.client.push_rules import PushRuleEndpoints
from homeserver.http.client.receipts import ReceiptEndpoints
from homeserver.http.client.tags import TagEndpoints
from homeserver.http.client.typing_notifications import TypingEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.account_data.account_data import AccountData
from homeserver.services.account_data.ignored import IgnoredUsers
from homeserver.services.account_data.invite_filters import InviteFilters
from homeserver.services.account_data.source import AccountDataForSync
from homeserver.services.account_data.stream import AccountDataStream
from homeserver.services.gone_readers import ForgetReader
from homeserver.services.presence import presence as presence_times
from homeserver.services.presence.presence import Presence
from homeserver.services.push_rules.push_rules import PushRules
from homeserver.services.push_rules.rulesets import Rulesets
from homeserver.services.read_markers import ReadMarkers
from homeserver.services.receipts.receipts import Receipts
from homeserver.services.rooms.append import NotificationRules
from homeserver.services.sync.sources import AccountDataSource
from homeserver.services.tags import RoomTags
from homeserver.services.thread_subscriptions.index import SubscriptionIndex
from homeserver.services.thread_subscriptions.readers import ThreadReaders
from homeserver.services.typing_users import EXPIRY_INTERVAL_MS, TypingUsers
from homeserver.services.unread.counting import CountUnread
from homeserver.services.unread.loudness import Loudness
from homeserver.services.unread.own_reads import FLUSH_INTERVAL_MS, OwnReads
from homeserver.services.unread.rules import ReaderNotifications
from homeserver.services.unread.threads import Threads
from homeserver.services.unread.unread import Unread
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.push_rules import PushRuleRows
from homeserver.storage.receipts import ReceiptRows
from homeserver.storage.status_messages import StatusMessageRows
from homeserver.storage.thread_subscriptions import ThreadSubscriptionRows
from homeserver.storage.unread import UnreadCountRows


@dataclass(frozen=True, slots=True)
class ReaderServices:
    """Streams that sync reads, and the rules that the event writer asks."""

    rules: NotificationRules
    receipts: Receipts
    typing: TypingUsers
    account_data: AccountDataSource
    presence: Presence
    unread: Unread
    ignored: IgnoredUsers
    push_rules: PushRules
    invite_filters: InviteFilters
    account_data_stream: AccountDataStream
    thread_subscriptions: SubscriptionIndex
    thread_readers: ThreadReaders
    forget: ForgetReader
    endpoints: list[Endpoint] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _AccountData:
    rows: AccountDataRows
    stream: AccountDataStream
    ignored: IgnoredUsers
    invites: InviteFilters
    push_rules: PushRules


def build_readers(base: Foundation, settings: Settings) -> ReaderServices:
    """Built before the kernel, which asks `rules` about every event."""
    data = _build_account_data(base, settings)
    unread = _build_unread(base, data)
    receipts = Receipts(base.database, ReceiptRows(), base.awake, base.cache, base.announcer, unread, base.clock)
    base.life.on_start(receipts.load)
    base.life.reports_memory("receipts", receipts.memory_usage)
    markers = ReadMarkers(base.database, data.rows, data.stream, receipts)
    typing = _build_typing(base)
    presence = _build_presence(base, settings.presence.enabled)
    account_data = AccountData(base.database, data.rows, data.stream, data.ignored, data.invites)
    endpoints = endpoints_of(
        ReceiptEndpoints(receipts, markers),
        TypingEndpoints(typing),
        AccountDataEndpoints(account_data, data.push_rules),
        TagEndpoints(RoomTags(base.database, data.rows, data.stream)),
        PresenceEndpoints(presence),
        PushRuleEndpoints(data.push_rules),
    )
    for_sync = AccountDataForSync(base.database, data.rows, data.stream, data.ignored, data.push_rules, data.invites)
    subscriptions = SubscriptionIndex(base.database, ThreadSubscriptionRows())
    base.life.on_start(subscriptions.load)
    base.life.reports_memory("thread_subscriptions", subscriptions.memory_usage)
    thread_readers = ThreadReaders(subscriptions, unread.threads)
    rules = ReaderNotifications(data.push_rules.rulesets, unread.threads, thread_readers)
    forget = ForgetReader(
        base.database,
        data.rows,
        ReceiptRows(),
        data.ignored,
        data.push_rules,
        subscriptions,
        unread.own_reads,
        presence,
    )
    return ReaderServices(
        rules=rules,
        receipts=receipts,
        typing=typing,
        account_data=for_sync,
        presence=presence,
        unread=unread,
        ignored=data.ignored,
        push_rules=data.push_rules,
        invite_filters=data.invites,
        account_data_stream=data.stream,
        thread_subscriptions=subscriptions,
        thread_readers=thread_readers,
        forget=forget,
        endpoints=list(endpoints),
    )


def _build_account_data(base: Foundation, settings: Settings) -> _AccountData:
    rows, rule_rows = AccountDataRows(), PushRuleRows()
    stream = base.account_data
    ignored, invites = IgnoredUsers(base.database, rows), InviteFilters(base.database, rows)
    invites.notices_user = notices_user(base, settings)
    rulesets = Rulesets(base.database, rule_rows)
    base.life.on_start(rulesets.load)
    base.life.reports_memory("ignored_users", ignored.memory_usage)
    base.life.reports_memory("invite_filters", invites.memory_usage)
    base.life.reports_memory("push_rules", rulesets.memory_usage)
    return _AccountData(rows, stream, ignored, invites, PushRules(base.database, rule_rows, rulesets, stream))


def _build_unread(base: Foundation, data: _AccountData) -> Unread:
    rows = UnreadCountRows()
    own_reads = OwnReads(base.database, ReceiptRows())
    loudness = Loudness(base.database, rows, data.push_rules.rulesets, base.cache)
    unread = Unread(
        queries=base.database,
        events=base.events,
        awake=base.awake,
        cache=base.cache,
        rulesets=data.push_rules.rulesets,
        counter=CountUnread(base.database, rows, loudness, data.ignored, own_reads),
        threads=Threads(base.database, rows),
        own_reads=own_reads,
        server_name=base.server_name,
    )
    data.ignored.on_change.append(unread.forget_reader)
    data.push_rules.on_change.append(unread.forget_reader)
    base.announcer.on_events(unread.apply_events)
    base.announcer.on_resolved(unread.apply_resolved)
    base.life.on_start(unread.load)
    base.life.every(FLUSH_INTERVAL_MS, own_reads.flush, "flush-own-reads")
    base.life.on_stop(own_reads.flush)
    base.life.reports_memory("unread", unread.memory_usage)
    base.life.reports_memory("own_reads", own_reads.memory_usage)
    return unread


def _build_typing(base: Foundation) -> TypingUsers:
    typing = TypingUsers(base.awake, base.announcer, base.clock)
    base.announcer.on_events(typing.apply_events)
    base.announcer.on_resolved(typing.apply_resolved)
    base.life.on_start(typing.load)
    base.life.every(EXPIRY_INTERVAL_MS, typing.expire, "expire-typing")
    base.life.reports_memory("typing", typing.memory_usage)
    return typing


def _build_presence(base: Foundation, enabled: bool) -> Presence:
    presence = Presence(base.database, StatusMessageRows(), base.awake, base.announcer, base.clock, enabled)
    base.life.on_start(presence.load)
    base.life.every(presence_times.TELL_INTERVAL_MS, presence.tell, "tell-presence")
    base.life.every(presence_times.EXPIRY_INTERVAL_MS, presence.expire, "expire-presence")
    base.life.reports_memory("presence", presence.memory_usage)
    return presence
