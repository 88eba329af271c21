"""What only administrators may do, and what they did."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.http.admin.audit import AuditEndpoints
from homeserver.http.admin.users import UserEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.administration.user_list import UserList
from homeserver.services.standing.moderation import AccountModeration
from homeserver.storage.administration import AdministrationRows


@dataclass(frozen=True, slots=True)
class AdministrationServices:
    """Nobody else needs anything of it."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_administration(base: Foundation, accounts: AccountServices) -> AdministrationServices:
    """Uses what all others have made."""
    administration = _build_accounts(base, accounts)
    endpoints = endpoints_of(
        AuditEndpoints(base.audit),
        UserEndpoints(administration, UserList(base.database, administration.rows)),
    )
    return AdministrationServices(list(endpoints))


def _build_accounts(base: Foundation, accounts: AccountServices) -> AccountAdministration:
    users = accounts.accounts.users
    return AccountAdministration(
        database=base.database,
        rows=AdministrationRows(),
        accounts=accounts.accounts,
        new_accounts=accounts.new_accounts,
        profiles=accounts.profiles,
        devices=accounts.devices,
        moderation=AccountModeration(base.database, users, accounts.standings, base.server_name),
        authenticator=accounts.authenticator,
        audit=base.audit,
        server_name=base.server_name,
    )
