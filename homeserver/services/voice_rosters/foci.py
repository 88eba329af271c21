"""At which SFU somebody in a call publishes, as his membership says: MSC4143, MSC4195, and the generation before them.

Who publishes at another server's SFU may leave ours, where he only listened, and is in the call still.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from homeserver.services.rooms.timeline_event import TimelineEvent

EXPIRES_MS: Final = 4 * 60 * 60_000
"""Of memberships that do not say for how long they are good."""
OLDEST: Final = "oldest_membership"


def is_elsewhere(
    membership: Mapping[str, Any], all_of_room: Collection[TimelineEvent], ours: Collection[str], now_ms: int
) -> bool:
    """Whether he publishes at an SFU that is none of `ours` (addresses of token services and of SFUs).

    `all_of_room`: the state events of call memberships. Who names no SFU is taken for one who is here.
    """
    active = membership.get("focus_active")
    if isinstance(active, dict) and active.get("focus_selection") == OLDEST:
        membership = _oldest(all_of_room, now_ms) or membership
    address = _address(membership)
    return address is not None and address.rstrip("/") not in ours


def _oldest(all_of_room: Collection[TimelineEvent], now_ms: int) -> Mapping[str, Any] | None:
    """The membership whose SFU everybody uses; those that have expired are ignored, as clients do."""
    standing = (
        (_began(event, each), each)
        for event in all_of_room
        for each in _memberships(event.content)
        if _began(event, each) + _number(each.get("expires"), EXPIRES_MS) > now_ms
    )
    return min(standing, key=lambda each: each[0], default=(0, None))[1]


def _memberships(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    listed = content.get("memberships")
    for each in listed if isinstance(listed, list) else [content]:
        if isinstance(each, dict) and "application" in each:
            yield each


def _began(event: TimelineEvent, membership: Mapping[str, Any]) -> int:
    return _number(membership.get("created_ts"), event.origin_server_ts)


def _number(found: object, otherwise: int) -> int:
    return found if isinstance(found, int) and not isinstance(found, bool) else otherwise


def _address(membership: Mapping[str, Any]) -> str | None:
    """State events have `foci_preferred`, sticky ones `rtc_transports`; the first is the one that is used."""
    for key in ("rtc_transports", "foci_preferred"):
        foci = membership.get(key)
        first = foci[0] if isinstance(foci, list) and foci else None
        if isinstance(first, dict):
            return next(
                (first[each] for each in ("livekit_service_url", "url") if isinstance(first.get(each), str)), None
            )
    return None
