"""How people find what was said, and each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.composition.reading import ReadingServices
from homeserver.http.client.mutual_rooms import MutualRoomsEndpoints
from homeserver.http.client.search import SearchEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.mutual_rooms import MutualRooms
from homeserver.services.search.indexer import Indexer
from homeserver.services.search.scope import FindScope
from homeserver.services.search.search import SearchMessages
from homeserver.services.search.showing import ShowHits
from homeserver.storage.search_entries import SearchEntries
from homeserver.storage.search_results import SearchResults

INDEX_INTERVAL_MS = 2_000


@dataclass(frozen=True, slots=True)
class SearchServices:
    """Reached by its endpoints only."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_search(
    base: Foundation, kernel: Kernel, readers: ReaderServices, reading: ReadingServices
) -> SearchServices:  # fmt: skip
    """Messages by their words, rooms in common."""
    search = _build_messages(base, kernel, readers, reading)
    return SearchServices(list(endpoints_of(SearchEndpoints(search), MutualRoomsEndpoints(MutualRooms(base.awake)))))


def _build_messages(
    base: Foundation, kernel: Kernel, readers: ReaderServices, reading: ReadingServices
) -> SearchMessages:  # fmt: skip
    database, stream, ignored = base.database, kernel.writer.position, readers.account_data.ignored_users
    entries = SearchEntries()
    indexer = Indexer(database, entries, stream)
    base.announcer.on_events(indexer.events)
    kernel.writer.on_past.append(indexer.past)
    base.life.on_start(indexer.load)
    base.life.every(INDEX_INTERVAL_MS, indexer.run, "index-messages")
    base.life.reports_memory("search_index", indexer.memory_usage)
    scope = FindScope(database, base.awake, reading.visibility, entries)
    show = ShowHits(database, SearchResults(), reading.visibility, reading.presenter, ignored, stream)
    return SearchMessages(database, entries, scope, show, ignored, indexer.catch_up, stream)
