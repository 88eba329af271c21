"""Name and picture of an account, as the provider knows them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from homeserver.protocol.errors import MatrixError
from homeserver.services.media.uploads import Uploads, UploadWish
from homeserver.services.profiles.fields import AVATAR_URL, DISPLAYNAME, MAX_DISPLAYNAME_CHARACTERS
from homeserver.services.profiles.profiles import Profiles
from homeserver.services.requester import on_behalf_of
from homeserver.services.upstream.claims import Person

PICTURE_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture from somewhere."""

    content_type: str
    content: bytes


class GetPicture(Protocol):
    """federation/web/avatars.py."""

    async def __call__(self, url: str) -> Picture | None:
        """None where it cannot be had, in a few seconds, as a picture of a bearable size."""
        ...


@dataclass(frozen=True, slots=True)
class FillProfileFromProvider:
    """Nobody is kept from signing in by his picture."""

    profiles: Profiles
    uploads: Uploads
    get_picture: GetPicture

    async def __call__(self, user_id: str, person: Person, *, is_new: bool) -> None:
        """The name; the picture where the account has none."""
        try:
            if person.display_name is not None:
                await self._set(user_id, DISPLAYNAME, person.display_name[:MAX_DISPLAYNAME_CHARACTERS])
            if person.avatar is not None and (is_new or not await self._has_picture(user_id)):
                await self._fetch(user_id, person.avatar)
        except MatrixError as error:
            log.info("the profile of %s could not be taken from its provider: %s", user_id, error.errcode)

    async def _has_picture(self, user_id: str) -> bool:
        return (await self.profiles.member_profile(user_id)).avatar_url is not None

    async def _fetch(self, user_id: str, url: str) -> None:
        picture = await self.get_picture(url)
        if picture is None:
            return
        wish = UploadWish(picture.content_type, None, len(picture.content))
        media_id = await self.uploads.upload(on_behalf_of(user_id), _one_piece(picture.content), wish)
        await self._set(user_id, AVATAR_URL, f"mxc://{self.profiles.server_name}/{media_id}")

    async def _set(self, user_id: str, key: str, value: str) -> None:
        await self.profiles.set_field(on_behalf_of(user_id), user_id, key, {key: value})


async def _one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content
