"""Are the keys of a third-party invite still valid? "H1 MUST verify [...] the key_validity_url as still being valid"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol import errors
from homeserver.protocol.auth.third_party_invite import decoded_key, keys_that_signed
from homeserver.services.identity_servers.asking import AskIdentityServer

MAX_QUESTIONS: Final = 3


@dataclass(frozen=True, slots=True)
class CheckKeys:
    """One verb."""

    identity: AskIdentityServer

    async def __call__(self, invite: Mapping[str, Any], signed: dict[str, Any]) -> None:
        """Raises Forbidden unless a key with which `signed` was signed is valid still.

        `invite`: the content of m.room.third_party_invite. A key without a URL cannot be revoked.
        """
        signing = keys_that_signed(signed, invite)
        used = dict.fromkeys((text, url) for text, url in _keys(invite) if decoded_key(text) in signing)
        if any(url is None for _, url in used):
            return
        for text, url in list(used)[:MAX_QUESTIONS]:
            if url is not None and await self.identity.is_key_valid(url, text):
                return
        raise errors.Forbidden("The identity server does not stand by the key of this invitation")


def _keys(invite: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    listed = invite.get("public_keys")
    for each in (invite, *(listed if isinstance(listed, list) else ())):
        key = each.get("public_key") if isinstance(each, Mapping) else None
        if isinstance(key, str):
            url = each.get("key_validity_url")
            yield key, url if isinstance(url, str) else None
