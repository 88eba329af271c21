"""Profiles of local users: look up, set, take away. What depends on a name or avatar is told after the commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeserver.protocol import errors, identifiers
from homeserver.services.membership.content import MemberProfile
from homeserver.services.profiles.fields import AVATAR_URL, DISPLAYNAME, as_object, check_key, check_value, from_object
from homeserver.services.profiles.remote import RemoteProfiles
from homeserver.services.profiles.updates import ProfileUpdates, changed_fields
from homeserver.storage.profiles import ProfileRows, StoredProfile

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database

ProfileChanged = Callable[[str, MemberProfile], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Profiles:
    """Verbs over profiles."""

    database: Database
    rows: ProfileRows
    server_name: str
    remote: RemoteProfiles
    updates: ProfileUpdates
    on_changed: list[ProfileChanged] = field(default_factory=list)
    """Called after the commit with the user id and the new name and avatar, where one of the two changed."""

    async def get(self, user_id: str) -> dict[str, Any]:
        """All fields. Raises NotFound where there is no such user, InvalidParam where it is no user id.

        Of users of other servers these are asked; raises what `RemoteProfiles.get` raises.
        """
        if identifiers.parse_user_id(user_id).server_name != self.server_name:
            return await self.remote.get(user_id)
        profile = await self.rows.get(self.database, user_id)
        if profile is None:
            raise errors.NotFound("There is no such user")
        return as_object(profile)

    async def get_field(self, user_id: str, key: str) -> dict[str, Any]:
        """An object with the field, empty for a name or avatar that is not set. Raises NotFound for other fields.

        The spec would have 404 for those two as well. Other servers answer 200, and clients are written against them.
        """
        profile = await self.get(user_id)
        if key in profile:
            return {key: profile[key]}
        if key in (DISPLAYNAME, AVATAR_URL):
            return {}
        raise errors.NotFound("The profile has no such field")

    async def member_profile(self, user_id: str) -> MemberProfile:
        """Name and avatar, for a member event; empty where there is no such user here."""
        profile = await self.rows.get(self.database, user_id)
        return MemberProfile() if profile is None else _member_profile(profile)

    async def set_field(self, requester: Requester, user_id: str, key: str, body: Mapping[str, Any]) -> None:
        """Set a field to what `body` has under its name.

        Raises Forbidden, KeyTooLarge, InvalidParam, MissingParam, BadJson, ProfileTooLarge.
        """
        _check_may_change(requester, user_id, key)
        check_key(key)
        if key not in body:
            raise errors.MissingParam(f"Missing '{key}'")
        check_value(key, body[key])
        await self._change(user_id, lambda whole: whole | {key: body[key]})

    async def delete_field(self, requester: Requester, user_id: str, key: str) -> None:
        """Take a field away; one that is not there is no error. Raises Forbidden, KeyTooLarge, InvalidParam."""
        _check_may_change(requester, user_id, key)
        check_key(key)
        await self._change(user_id, lambda whole: {name: value for name, value in whole.items() if name != key})

    async def _change(self, user_id: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        async with self.updates.writing(user_id) as write:
            async with self.database.transaction() as tx:
                old = await self.rows.lock(tx, user_id)
                if old is None:
                    raise errors.NotFound("There is no such user")
                new = from_object(change(as_object(old)))
                changed = changed_fields(as_object(old), as_object(new))
                if changed:
                    await self.rows.update(tx, user_id, new, changed, write.position)
            write.fields = changed
        if _member_profile(new) != _member_profile(old):
            for hook in self.on_changed:
                await hook(user_id, _member_profile(new))


def _check_may_change(requester: Requester, user_id: str, key: str) -> None:
    """ "Guest users may only modify their display name." """
    if requester.user_id != user_id:
        raise errors.Forbidden("This is somebody else's profile")
    if requester.is_guest and key != DISPLAYNAME:
        raise errors.GuestAccessForbidden("Guests may only change their display name")


def _member_profile(profile: StoredProfile) -> MemberProfile:
    return MemberProfile(profile.displayname, profile.avatar_url)
