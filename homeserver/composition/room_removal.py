"""Rooms, or their past, leave this server, as administrators order it."""

from __future__ import annotations

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.rooms import RoomServices
from homeserver.http.admin.room_removal import RoomRemovalEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.room_removal import delete_room, purge_history
from homeserver.services.room_removal.delete_room import DeleteRoom, OrderDeletion
from homeserver.services.room_removal.move_people import MovePeople
from homeserver.services.room_removal.purge_history import OrderPurge, PurgeHistory
from homeserver.services.unread.unread import Unread
from homeserver.storage.room_purge import RoomPurge
from homeserver.storage.users import Users


def build_room_removal(
    base: Foundation, kernel: Kernel, rooms: RoomServices, unread: Unread, tasks: LongTasks
) -> list[Endpoint]:
    """Registers what does the work. `tasks` are loaded before this group starts."""
    purge = RoomPurge(base.server_name)
    delete = _delete_room(base, kernel, rooms, purge)
    tasks.handlers[delete_room.KIND] = delete
    tasks.handlers[purge_history.KIND] = PurgeHistory(base.database, purge, base.cache, kernel.writer.recent, unread)

    async def keep_closed() -> None:
        delete.keep_closed(tasks)

    base.life.on_start(keep_closed)
    blocked = rooms.memberships.blocked
    order = OrderDeletion(base.database, purge, Users(), blocked, tasks, base.audit, base.server_name)
    order_purge = OrderPurge(base.database, purge, base.events, base.cache, tasks, base.audit)
    return list(endpoints_of(RoomRemovalEndpoints(order, order_purge, tasks)))


def _delete_room(base: Foundation, kernel: Kernel, rooms: RoomServices, purge: RoomPurge) -> DeleteRoom:
    members, directory = rooms.memberships, rooms.directory
    move = MovePeople(base.database, purge, rooms.create, rooms.send, members.join, members.depart)
    return DeleteRoom(
        database=base.database,
        purge=purge,
        move=move,
        blocked=members.blocked,
        aliases=directory.alias_rows,
        listed=directory.rows,
        published=directory.published,
        on_aliases_changed=directory.on_aliases_changed,
        cache=base.cache,
        position=kernel.writer.position,
        recent=kernel.writer.recent,
        announcer=base.announcer,
        clock=base.clock,
    )
