"""Which servers this one talks to at all: the administrator's lists, beside those that rooms have of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from homeserver.federation.errors import NotAPartner
from homeserver.protocol.server_acl import ServerAcl

NOT_A_PARTNER = "This server does not talk to the other one: its administrator has said so"


@dataclass(frozen=True, slots=True)
class Partners:
    """`allow` empty: everybody but those of `deny`. Both are names or patterns, as in `m.room.server_acl`: * and ?, ports
    and case do not count.
    """

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    _list: ServerAcl = field(init=False)

    def __post_init__(self) -> None:
        content = {"allow": list(self.allow) or ["*"], "deny": list(self.deny)}
        object.__setattr__(self, "_list", ServerAcl.of(content))

    def check(self, server_name: str) -> None:
        """Raises NotAPartner."""
        if not self._list.allows(server_name):
            raise NotAPartner(NOT_A_PARTNER)


EVERYBODY = Partners()
