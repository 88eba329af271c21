"""Who asks: the identity behind one authenticated request."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Requester:
    """The account, device and token a request was made with.

    Made by `services.sessions.Authenticator` from an access token, and by the
    appservice layer when a bridge speaks for one of its users.
    """

    user_id: str
    device_id: str | None
    """None for an application service that masquerades without a device."""
    device_nid: int
    """Number of the device inside the database; 0 where there is no device."""
    token_id: int
    """Number of the access token inside the database; 0 for an appservice token. Transaction ids are scoped by device."""
    is_guest: bool
    is_admin: bool
    appservice_id: str | None = None
    is_unlimited: bool = False
    """Rate limits are not for it: its registration file says so."""
    is_locked: bool = False
    """Nothing is wanted of him but that he logs out."""
    is_suspended: bool = False
    """He may read, and leave."""
    is_expired: bool = False
    """His account has to be renewed first."""
    remote_address: str = field(default="", compare=False)
    """Where the request came from; empty where nobody sent one. For the audit log."""

    impersonator: str | None = None
    """The administrator who acts as this user."""

    def at(self, remote_address: str) -> Requester:
        """The same, asking from there."""
        return self if self.remote_address == remote_address else replace(self, remote_address=remote_address)


def on_behalf_of(user_id: str) -> Requester:
    """The user, without any device of his."""
    return Requester(user_id, None, device_nid=0, token_id=0, is_guest=False, is_admin=False)
