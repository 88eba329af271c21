"""How a rule says no."""

from __future__ import annotations

from typing import NoReturn

from homeserver.protocol.errors import Forbidden


class AuthRejection(Forbidden):
    """An authorisation rule does not allow the event.

    `rule` is the number of the rule in the text of room version 12; a rule that version 12 no longer has is named with
    the version whose text has it ("v1 4.2").
    """

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{reason} (auth rule {rule})")
        self.rule = rule
        self.reason = reason


def reject(rule: str, reason: str) -> NoReturn:
    """Refuse the event because of this rule."""
    raise AuthRejection(rule, reason)
