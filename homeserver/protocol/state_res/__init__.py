"""State resolution: one room state from several. See README.md for the map of the algorithm to files."""

from __future__ import annotations

from homeserver.protocol.state_res.auth_graph import (
    AuthChainOf,
    auth_difference,
    cited_through,
    conflicted_state_subgraph,
    walk_auth_chain,
)
from homeserver.protocol.state_res.conflicts import split_conflicted
from homeserver.protocol.state_res.known_auth import KnownAuth
from homeserver.protocol.state_res.lookup import EventLookup, FetchEvent
from homeserver.protocol.state_res.overlays import Conflict, Overlay, find_conflict
from homeserver.protocol.state_res.resolve import resolve

__all__ = [
    "AuthChainOf",
    "Conflict",
    "EventLookup",
    "FetchEvent",
    "KnownAuth",
    "Overlay",
    "auth_difference",
    "cited_through",
    "conflicted_state_subgraph",
    "find_conflict",
    "resolve",
    "split_conflicted",
    "walk_auth_chain",
]
