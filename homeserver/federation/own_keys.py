"""The document in which this server publishes its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.server_keys import DAY_MS, publish_keys

if TYPE_CHECKING:
    from homeserver.protocol.server_keys import ServerKey
    from homeserver.protocol.signing import SigningKey
    from homeserver.services.clock import Clock

# "Originating servers should avoid returning responses that expire in less than an hour". A day is also how long a stolen
# key goes on being believed once it is no longer published.
VALID_FOR_MS: Final = DAY_MS


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Made anew for each question; signing takes a few microseconds. `old`: keys that signed earlier."""

    server_name: str
    signing_key: SigningKey
    clock: Clock
    old: Sequence[ServerKey] = ()

    def document(self) -> dict[str, Any]:
        """Signed, and valid for a day from now."""
        return publish_keys(self.server_name, self.signing_key, self.clock.now_ms() + VALID_FOR_MS, self.old)
