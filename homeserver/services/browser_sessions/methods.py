"""Ways to sign in that the sign-in page offers beside the password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

REGISTER_PATH: Final = "/_voicechat/register"


@dataclass(frozen=True, slots=True)
class SignInMethod:
    """An identity provider, as people see it."""

    id: str
    name: str
    brand: str | None
    """As in the spec's `m.login.sso` ("github", "google" …)."""
    start_url: str
    """A path of ours; the page adds `?pending=ID`."""


@dataclass(slots=True)
class SignInMethods:
    """Filled by composition."""

    has_password: bool = True
    providers: list[SignInMethod] = field(default_factory=list)
    can_register: bool = False
    """Whether there is a page for new accounts."""
