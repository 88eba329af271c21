"""What only administrators may do, and what they did."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.admin.audit import AuditEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of


@dataclass(frozen=True, slots=True)
class AdministrationServices:
    """Nobody else needs anything of it."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_administration(base: Foundation) -> AdministrationServices:
    """Reads what all others have."""
    return AdministrationServices(list(endpoints_of(AuditEndpoints(base.audit))))
