"""What administrators take away: files, rooms, messages; and what they tell their users."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.composition.media import MediaServices
from homeserver.composition.rooms import RoomServices
from homeserver.http.admin.media import AdminMediaEndpoints
from homeserver.http.admin.media_cache import MediaCacheEndpoints
from homeserver.http.admin.room_block import RoomBlockEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.media.quarantine import Quarantine
from homeserver.services.media.remote import PurgeOtherServersMedia
from homeserver.services.media.removal import RemoveMedia
from homeserver.services.media.room_media import FilesOfRoom
from homeserver.storage.media_removal import MediaRemovalRows
from homeserver.storage.quarantine import QuarantineRows
from homeserver.storage.room_media import RoomMediaRows

HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class ModerationServices:
    """Verbs of administrators."""

    remove_media: RemoveMedia
    endpoints: list[Endpoint] = field(default_factory=list)


def build_moderation(base: Foundation, media: MediaServices, rooms: RoomServices) -> ModerationServices:
    """After everything that it takes away."""
    removal, files = _build_files(base, media)
    blocks = endpoints_of(RoomBlockEndpoints(rooms.memberships.blocked))
    return ModerationServices(removal, [*files, *blocks])


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
