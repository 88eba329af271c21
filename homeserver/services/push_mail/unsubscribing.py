"""The link in each mail that ends them, without a login. RFC 8058: mail programs may follow it with one click."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from homeserver.protocol import errors
from homeserver.services.push.checks import EMAIL

if TYPE_CHECKING:
    from homeserver.services.push.pushers import Pushers
    from homeserver.storage.pushers import Pusher

PATH: Final = "/_matrix/client/unstable/org.voicechat/unsubscribe"


@dataclass(frozen=True, slots=True)
class Unsubscribing:
    """`secret`: nobody else's. Links say which pusher they are about, and prove that they were made here."""

    pushers: Pushers
    secret: bytes = field(repr=False)
    public_baseurl: str

    def link(self, pusher: Pusher) -> str:
        """Works as long as the pusher is there."""
        query = urlencode({"pusher": pusher.pusher_nid, "token": self._token(pusher)})
        return f"{self.public_baseurl.rstrip('/')}{PATH}?{query}"

    def look_at(self, pusher_nid: str, token: str) -> Pusher | None:
        """Whose mail it is about; None where that has ended already. Raises Forbidden for what was not made here."""
        number = int(pusher_nid) if pusher_nid.isascii() and pusher_nid.isdigit() and len(pusher_nid) < 19 else 0
        pusher = self.pushers.registry.get(number)
        if pusher is None or pusher.kind != EMAIL:
            return None
        if not hmac.compare_digest(self._token(pusher).encode(), token.encode("utf-8", "replace")):
            raise errors.Forbidden("This link is not right. Copy all of it from the mail")
        return pusher

    async def end(self, pusher_nid: str, token: str) -> None:
        """No more mail. Raises Forbidden."""
        pusher = self.look_at(pusher_nid, token)
        if pusher is not None:
            await self.pushers.remove([pusher])

    def _token(self, pusher: Pusher) -> str:
        told = f"{pusher.pusher_nid}\0{pusher.user_id}\0{pusher.pushkey}"
        return hmac.new(self.secret, told.encode(), hashlib.sha256).hexdigest()
