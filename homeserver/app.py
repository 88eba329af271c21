"""The composition root: settings -> database -> services -> endpoints. Reads top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.settings import Settings
from homeserver.composition.accounts import AccountServices, build_accounts
from homeserver.composition.administration import build_administration
from homeserver.composition.appservices import build_appservices
from homeserver.composition.breached_passwords import build_breached_passwords
from homeserver.composition.browser_sessions import BrowserServices, build_browser_sessions
from homeserver.composition.call_page import build_call_page
from homeserver.composition.call_probe import build_call_probe
from homeserver.composition.calls import CallServices, build_calls
from homeserver.composition.delayed import DelayedServices, build_delayed
from homeserver.composition.doors import DoorServices, build_doors
from homeserver.composition.edge import EdgeParts, describe
from homeserver.composition.encryption import EncryptionServices, build_encryption
from homeserver.composition.federation import FederationServices, build_federation
from homeserver.composition.foreign_events import ForeignServices, build_foreign_events
from homeserver.composition.foundation import Foundation, build_foundation
from homeserver.composition.history import HistoryServices, build_history
from homeserver.composition.identity_servers import build_identity_servers
from homeserver.composition.intake import IntakeServices, build_intake
from homeserver.composition.kernel import Kernel, build_kernel
from homeserver.composition.ldap import build_ldap
from homeserver.composition.mail import build_mail
from homeserver.composition.media import MediaServices, build_media
from homeserver.composition.moderation import ModerationServices, build_moderation
from homeserver.composition.oauth import OAuthServices, build_oauth
from homeserver.composition.observability import build_observability
from homeserver.composition.previews import build_previews
from homeserver.composition.providers import ProviderServices, build_providers
from homeserver.composition.push import PushServices, build_push
from homeserver.composition.rate_limits import build_rate_limiter
from homeserver.composition.readers import ReaderServices, build_readers
from homeserver.composition.reading import ReadingServices, build_reading
from homeserver.composition.relations import build_relations
from homeserver.composition.remote_users import build_remote_users
from homeserver.composition.rendezvous import build_rendezvous
from homeserver.composition.reports import ReportServices, build_reports
from homeserver.composition.roles import build_roles
from homeserver.composition.rooms import RoomServices, build_rooms
from homeserver.composition.rosters import RosterServices, build_rosters
from homeserver.composition.search import build_search
from homeserver.composition.second_factor import build_second_factor
from homeserver.composition.sending import build_sending
from homeserver.composition.sliding_sync import SlidingSyncServices, build_sliding_sync
from homeserver.composition.spaces import build_spaces
from homeserver.composition.sync import SyncServices, build_sync
from homeserver.composition.thread_subscriptions import build_thread_subscriptions
from homeserver.composition.travel import build_travel
from homeserver.composition.voice_backend import VoiceBackend, build_voice_backend
from homeserver.federation.dns import Dns
from homeserver.federation.policy_servers import AskPolicyServer
from homeserver.http.observer import Observer
from homeserver.protocol.server_keys import ServerKey
from homeserver.protocol.signing import SigningKey
from homeserver.services.clock import Clock, SystemClock
from homeserver.storage.database import Database
from voice.sfu.backend import SfuBackend


# Without a repr: everything is connected with everything, and asyncio writes out the results of its tasks now and then.
@dataclass(frozen=True, slots=True, repr=False)
class Application:
    """The whole server, without sockets: homeserver/serving.py opens those."""

    settings: Settings
    base: Foundation
    accounts: AccountServices
    web: BrowserServices
    oauth: OAuthServices
    readers: ReaderServices
    kernel: Kernel
    foreign: ForeignServices
    intake: IntakeServices
    history: HistoryServices
    rooms: RoomServices
    doors: DoorServices
    reading: ReadingServices
    encryption: EncryptionServices
    media: MediaServices
    providers: ProviderServices
    moderation: ModerationServices
    voice: VoiceBackend
    delayed: DelayedServices
    federation: FederationServices
    calls: CallServices
    rosters: RosterServices
    sync: SyncServices
    sliding_sync: SlidingSyncServices
    push: PushServices
    reports: ReportServices
    edge: EdgeParts

    async def start(self) -> None:
        """Ready for the first request afterwards."""
        await self.base.life.start()

    async def stop(self) -> None:
        """Everything that was acknowledged is stored; closes the database."""
        await self.base.life.stop()


def build_application(
    settings: Settings,
    database: Database,
    signing_key: SigningKey,
    *,
    public_baseurl: str,
    clock: Clock | None = None,
    observer: Observer | None = None,
    sfu: SfuBackend | None = None,
    dns: Dns | None = None,
    old_keys: Sequence[ServerKey] = (),
) -> Application:
    """Connect everything. The database has been migrated; nothing is asked of it yet.

    `sfu` takes the place of the one that the settings ask for, `dns` that of this machine's (tests). `old_keys`:
    those that it signed with earlier.
    """
    clock = clock or SystemClock()
    base = build_foundation(settings.server_name, database, clock, settings.audit.keep_ms)
    limiter = build_rate_limiter(base, settings)
    letters = build_mail(base, settings, public_baseurl)
    identity_servers = build_identity_servers(base, settings, signing_key, dns)
    federation = build_federation(base, settings, signing_key, old_keys, limiter, dns)
    accounts = build_accounts(base, settings, public_baseurl, limiter, federation.profiles, letters, identity_servers)
    web = build_browser_sessions(base, accounts, public_baseurl)
    web.endpoints.extend(build_second_factor(accounts, web))
    build_ldap(base, settings, accounts)
    build_breached_passwords(base, settings, accounts.identity.policy, dns)
    oauth = build_oauth(base, accounts, web, public_baseurl)
    readers = build_readers(base, settings)
    kernel = build_kernel(
        base, readers.rules, signing_key, keeps_redacted=settings.rooms.keep_redacted > 0,
        policy_servers=None if federation.client is None else AskPolicyServer(federation.client),
    )  # fmt: skip
    foreign = build_foreign_events(base, kernel)
    intake = build_intake(base, federation, foreign.standings, foreign.store_outliers, foreign.receive, kernel.outside)
    history = build_history(base, federation, intake, foreign)
    travel = build_travel(base, federation, kernel, foreign, intake, signing_key)
    rooms = build_rooms(base, settings, accounts, readers, kernel, limiter, federation.public_rooms, travel)
    doors = build_doors(
        base, federation, readers, kernel, foreign, intake, travel, rooms, signing_key, limiter,
        identity_servers.check_keys,
    )  # fmt: skip
    reading = build_reading(base, kernel, readers, history.fill, history.at_time, settings.rooms.keep_redacted)
    relations = build_relations(base, kernel, readers, reading)
    encryption = build_encryption(base, accounts, kernel, federation.device_keys, oauth.resets)
    users = build_remote_users(base, settings, federation, intake.edus, accounts, readers, rooms, encryption)
    build_sending(base, federation, kernel, foreign, readers, encryption, doors)
    appservices = build_appservices(base, settings, accounts, readers, kernel, rooms, encryption)
    push = build_push(
        base, settings, accounts, readers, kernel, reading.visibility, dns, letters, signing_key, public_baseurl
    )
    media = build_media(base, settings, federation)
    providers = build_providers(base, settings, public_baseurl, accounts, web, media, dns)
    oauth.account_links.extend(providers.account_links)
    previews = build_previews(base, settings, media, public_baseurl, dns)
    moderation = build_moderation(base, settings, accounts, readers, kernel, media, rooms)
    roles = build_roles(base, kernel, rooms, moderation.tasks)
    spaces = build_spaces(base, federation, intake.acl, rooms.directory.resolve, limiter)
    search = build_search(base, settings, accounts, kernel, readers, reading)
    voice = build_voice_backend(base, settings, public_baseurl, sfu)
    delayed = build_delayed(base, settings, accounts, kernel, rooms, limiter)
    calls = build_calls(base, settings, accounts, public_baseurl, voice.backend, delayed.leaves, federation)
    rosters = build_rosters(base, rooms, reading, encryption, calls, voice.backend)
    sync = build_sync(base, accounts, readers, kernel, reading, encryption, rosters.source)
    threads = build_thread_subscriptions(base, kernel, readers, reading)
    sliding_sync = build_sliding_sync(base, accounts, reading, sync, (threads.extension,))
    reports = build_reports(base, reading)
    rendezvous = build_rendezvous(base, public_baseurl)
    administration = build_administration(base, accounts, rooms, reading, moderation, federation, limiter, push)

    observability = build_observability(base, settings, voice.metrics)
    pages = (observability, build_call_page(settings), build_call_probe(base, settings, voice, signing_key))
    groups = (
        *pages, accounts, web, oauth, readers, rooms, reading, relations, threads, encryption, media, previews, spaces, search,
        voice, delayed, federation, intake, users, history, doors, calls, rosters, sync, sliding_sync, push, appservices, reports,
        rendezvous, administration, moderation, providers, roles,
    )  # fmt: skip
    endpoints = [each for group in groups for each in group.endpoints]
    endpoints = describe(base, settings, public_baseurl, endpoints, calls.well_known)
    observer = observer or observability.observer
    edge = EdgeParts(endpoints, accounts.authenticator, limiter, observer, federation.authenticator)
    return Application(
        settings, base, accounts, web, oauth, readers, kernel, foreign, intake, history, rooms, doors, reading, encryption, media,
        providers, moderation, voice, delayed, federation, calls, rosters, sync, sliding_sync, push, reports, edge,
    )  # fmt: skip
