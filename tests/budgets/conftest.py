"""Servers that talk to each other, for budgets of federation."""

from __future__ import annotations

from tests.federation.conftest import alpha, authority, dns, peer, world

__all__ = ["alpha", "authority", "dns", "peer", "world"]
