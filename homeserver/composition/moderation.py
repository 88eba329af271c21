"""What administrators take away: files, rooms, messages; and what they tell their users."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.media import MediaServices
from homeserver.composition.readers import ReaderServices
from homeserver.composition.room_removal import build_room_removal
from homeserver.composition.rooms import RoomServices
from homeserver.composition.server_notices import build_server_notices
from homeserver.http.admin.media import AdminMediaEndpoints
from homeserver.http.admin.media_cache import MediaCacheEndpoints
from homeserver.http.admin.room_block import RoomBlockEndpoints
from homeserver.http.admin.user_redaction import UserRedactionEndpoints
from homeserver.http.client.redact_user import RedactUserEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.media.quarantine import Quarantine
from homeserver.services.media.remote import PurgeOtherServersMedia
from homeserver.services.media.removal import RemoveMedia
from homeserver.services.media.room_media import FilesOfRoom
from homeserver.services.user_redaction import redact_all
from homeserver.services.user_redaction.redact_all import OrderRedaction, RedactAll
from homeserver.services.user_redaction.redact_user import RedactUser
from homeserver.storage.long_tasks import LongTaskRows
from homeserver.storage.media_removal import MediaRemovalRows
from homeserver.storage.quarantine import QuarantineRows
from homeserver.storage.room_media import RoomMediaRows
from homeserver.storage.user_events import UserEventRows

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class ModerationServices:
    """Verbs of administrators."""

    remove_media: RemoveMedia
    tasks: LongTasks
    endpoints: list[Endpoint] = field(default_factory=list)


def build_moderation(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    readers: ReaderServices,
    kernel: Kernel,
    media: MediaServices,
    rooms: RoomServices,
) -> ModerationServices:
    """After everything that it takes away."""
    removal, files = _build_files(base, media)
    tasks = LongTasks(base.database, LongTaskRows(), base.clock)
    _run(base, tasks)
    removed = build_room_removal(base, kernel, rooms, readers.unread, tasks)
    blocks = endpoints_of(RoomBlockEndpoints(rooms.memberships.blocked))
    notices = build_server_notices(base, settings, accounts, readers, kernel, rooms)
    redaction = _build_redaction(base, rooms, tasks)
    return ModerationServices(removal, tasks, [*files, *blocks, *removed, *notices, *redaction])


def _run(base: Foundation, tasks: LongTasks) -> None:
    base.life.on_start(tasks.load)
    base.life.on_started(tasks.begin)
    base.life.on_stop(tasks.stop)
    base.life.every(HOUR_MS, tasks.tidy, "forget-long-tasks")
    base.life.reports_memory("long_tasks", tasks.memory_usage)


def _build_redaction(base: Foundation, rooms: RoomServices, tasks: LongTasks) -> list[Endpoint]:
    rows = UserEventRows()
    tasks.handlers[redact_all.KIND] = RedactAll(base.database, rows, base.cache, rooms.redact, base.server_name)
    order = OrderRedaction(base.database, rows, tasks, base.audit)
    redact = RedactUser(base.database, rows, base.cache, rooms.redact)
    return list(endpoints_of(UserRedactionEndpoints(order, tasks), RedactUserEndpoints(redact)))


def _build_files(base: Foundation, media: MediaServices) -> tuple[RemoveMedia, list[Endpoint]]:
    files_of_room = FilesOfRoom(base.database, RoomMediaRows(), base.cache)
    quarantine = Quarantine(
        base.database, QuarantineRows(), files_of_room, base.audit, base.clock, base.server_name
    )  # fmt: skip
    removal = RemoveMedia(
        base.database, MediaRemovalRows(), media.blobs, base.audit, base.clock, base.server_name
    )  # fmt: skip
    base.life.every(HOUR_MS, removal.tidy, "remove-condemned-media")
    purge = PurgeOtherServersMedia(base.database, media.kept, base.audit)
    endpoints = endpoints_of(
        AdminMediaEndpoints(quarantine, removal, files_of_room, base.server_name), MediaCacheEndpoints(purge)
    )
    return removal, list(endpoints)
