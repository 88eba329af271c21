"""Which domains an address may have. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DomainRules:
    """Domains as settings have them: "example.org", or "*.example.org" for all below it. Written small."""

    allowed: Collection[str] = ()
    """All, where there are none."""
    denied: Collection[str] = ()
    """Not these, whatever is allowed."""

    def allow(self, address: str) -> bool:
        """Of a canonical address."""
        domain = address.rpartition("@")[2]
        if _is_among(domain, self.denied):
            return False
        return not self.allowed or _is_among(domain, self.allowed)


def rules(allowed: Collection[str], denied: Collection[str] = ()) -> DomainRules:
    """However the administrator spells them."""
    return DomainRules(frozenset(map(str.casefold, allowed)), frozenset(map(str.casefold, denied)))


def _is_among(domain: str, patterns: Collection[str]) -> bool:
    """The domain itself, or one of those above it with a star."""
    parts = domain.split(".")
    above = {"*." + ".".join(parts[at:]) for at in range(1, len(parts))}
    return domain in patterns or not above.isdisjoint(patterns)
