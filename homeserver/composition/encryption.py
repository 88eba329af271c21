"""End-to-end encryption: keys, messages between devices, key backup, dehydrated devices."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class EncryptionServices:
    """What sync needs of keys."""

    endpoints: list[Endpoint] = field(default_factory=list)


def build_encryption(base: Foundation) -> EncryptionServices:
    """Nothing yet."""
    return EncryptionServices()
