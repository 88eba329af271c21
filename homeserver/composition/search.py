"""How people find what was said, and each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.composition.reading import ReadingServices
from homeserver.http.client.mutual_rooms import MutualRoomsEndpoints
from homeserver.http.client.search import SearchEndpoints
from homeserver.http.client.user_directory import UserDirectoryEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.mutual_rooms import MutualRooms
from homeserver.services.search.indexer import Indexer
from homeserver.services.search.scope import FindScope
from homeserver.services.search.search import SearchMessages
from homeserver.services.search.showing import ShowHits
from homeserver.services.user_directory.follower import DirectoryFollower
from homeserver.services.user_directory.search import SearchUsers
from homeserver.storage.search_entries import SearchEntries
from homeserver.storage.search_results import SearchResults
from homeserver.storage.user_directory import UserDirectoryRows

INDEX_INTERVAL_MS = 2_000
DIRECTORY_INTERVAL_MS = 10_000


@dataclass(frozen=True, slots=True)
class SearchServices:
    """Reached by its endpoints only."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_search(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    kernel: Kernel,
    readers: ReaderServices,
    reading: ReadingServices,
) -> SearchServices:
    """Messages by their words, people by their names, rooms in common."""
    messages = _build_messages(base, accounts, kernel, readers, reading)
    users = _build_users(base, settings.user_directory.search_all_users, accounts, kernel, readers)
    endpoints = endpoints_of(
        SearchEndpoints(messages), UserDirectoryEndpoints(users), MutualRoomsEndpoints(MutualRooms(base.awake))
    )
    return SearchServices(list(endpoints))


def _build_messages(
    base: Foundation, accounts: AccountServices, kernel: Kernel, readers: ReaderServices, reading: ReadingServices
) -> SearchMessages:  # fmt: skip
    database, stream, ignored = base.database, kernel.writer.position, readers.account_data.ignored_users
    entries = SearchEntries()
    indexer = Indexer(database, entries, stream)
    base.announcer.on_events(indexer.events)
    kernel.writer.on_past.append(indexer.past)
    accounts.accounts.on_deactivated.append(indexer.deactivated)
    base.life.on_start(indexer.load)
    base.life.every(INDEX_INTERVAL_MS, indexer.run, "index-messages")
    base.life.reports_memory("search_index", indexer.memory_usage)
    scope = FindScope(database, base.awake, reading.visibility, entries)
    show = ShowHits(database, SearchResults(), reading.visibility, reading.presenter, ignored, stream)
    return SearchMessages(database, entries, scope, show, ignored, indexer.catch_up, stream)


def _build_users(
    base: Foundation, everybody: bool, accounts: AccountServices, kernel: Kernel, readers: ReaderServices
) -> SearchUsers:
    database, rows = base.database, UserDirectoryRows()
    follower = DirectoryFollower(database, rows, kernel.writer.position, base.server_name, everybody)
    base.announcer.on_resolved(follower.resolved)
    base.announcer.on_events(follower.events)
    accounts.profiles.on_changed.append(follower.profile)
    accounts.accounts.on_deactivated.append(follower.deactivated)
    base.life.on_start(follower.load)
    base.life.on_stop(follower.stop)
    base.life.every(DIRECTORY_INTERVAL_MS, follower.run, "follow-user-directory")
    base.life.reports_memory("user_directory", follower.memory_usage)
    return SearchUsers(database, rows, readers.account_data.ignored_users, follower.catch_up, everybody)
