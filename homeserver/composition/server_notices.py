"""What administrators tell the users of this server."""

from __future__ import annotations

import logging
from dataclasses import replace

from config.errors import ConfigError
from config.settings import ServerNoticesSettings, Settings
from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.memberships import notices_user
from homeserver.composition.readers import ReaderServices
from homeserver.composition.rooms import RoomServices
from homeserver.http.admin.server_notices import ServerNoticeEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.administration.account_wish import SPEAKER_TYPE
from homeserver.services.server_notices.notice_rooms import NoticeRooms
from homeserver.services.server_notices.notices import SendNotice
from homeserver.services.tags import RoomTags
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.notice_rooms import NoticeRoomRows
from homeserver.storage.profiles import ProfileRows
from homeserver.storage.users import Users

log = logging.getLogger(__name__)


def build_server_notices(
    base: Foundation,
    settings: Settings,
    accounts: AccountServices,
    readers: ReaderServices,
    kernel: Kernel,
    rooms: RoomServices,
) -> list[Endpoint]:
    """The user who speaks is made before the first request."""
    speaker = notices_user(base, settings)
    notice_rooms = None if speaker is None else _rooms(base, settings.server_notices, speaker, accounts, readers, rooms)
    send = SendNotice(
        base.database, Users(), notice_rooms, kernel.appender, rooms.set_state, kernel.transactions, base.audit,
        base.server_name,
    )  # fmt: skip
    return list(endpoints_of(ServerNoticeEndpoints(send)))


def _rooms(
    base: Foundation,
    settings: ServerNoticesSettings,
    speaker: str,
    accounts: AccountServices,
    readers: ReaderServices,
    rooms: RoomServices,
) -> NoticeRooms:
    async def make_speaker() -> None:
        """Without a password: nobody signs in as him. Raises ConfigError where somebody had the name before."""
        users, profiles = Users(), ProfileRows()
        user = await users.get(base.database, speaker)
        if user is None:
            await accounts.new_accounts.add(base.database, speaker, None, user_type=SPEAKER_TYPE)
            log.info("made %s, who speaks for the server", speaker)
        elif user.user_type != SPEAKER_TYPE:
            raise ConfigError(
                f"server_notices.localpart: {speaker} is the account of somebody, who would speak for the server. "
                "Please choose a name that nobody has."
            )
        profile = await profiles.get(base.database, speaker)
        if profile is not None and profile.displayname != settings.display_name:
            await profiles.update(base.database, speaker, replace(profile, displayname=settings.display_name))

    base.life.on_start(make_speaker)
    tags = RoomTags(base.database, AccountDataRows(), readers.account_data_stream)
    return NoticeRooms(
        base.database, NoticeRoomRows(), base.cache, rooms.create, rooms.memberships.invite, tags, speaker,
        settings.room_name,
    )  # fmt: skip
