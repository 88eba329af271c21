"""Events that relate to each other: children of an event, threads of a room."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.composition.reading import ReadingServices
from homeserver.http.client.relations import RelationsEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.relations.related_events import ReadRelations
from homeserver.services.relations.threads_of_room import ReadThreads
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.single_event import EventFinder
from homeserver.storage.relations import Relations


@dataclass(frozen=True, slots=True)
class RelationServices:
    """Reached by its endpoints only; what is told beside events is the presenter's (composition/reading.py)."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_relations(
    base: Foundation, kernel: Kernel, readers: ReaderServices, reading: ReadingServices
) -> RelationServices:
    """Reads up to where the kernel's writer has announced events."""
    database, rows, stream = base.database, Relations(), kernel.writer.position
    visibility, presenter, ignored = reading.visibility, reading.presenter, readers.account_data.ignored_users
    opener = RoomOpener(base.cache, visibility)
    finder = EventFinder(database, base.events)
    relations = ReadRelations(database, rows, opener, visibility, finder, presenter, ignored, stream)
    threads = ReadThreads(database, rows, opener, visibility, presenter, ignored, stream)
    return RelationServices(list(endpoints_of(RelationsEndpoints(relations, threads))))
