"""Rooms in a space. Client-server API, "Managing rooms/spaces included in a space"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.identifiers import is_room_id, is_server_name

MAX_CHILDREN: Final = 500
"""Of one space that are shown."""
MAX_VIA: Final = 10
MAX_ORDER_CHARACTERS: Final = 50


@dataclass(frozen=True, slots=True)
class Child:
    """A room in a space. `via`: servers that know it; never empty. `order` None: none that is valid."""

    room_id: str
    via: tuple[str, ...]
    order: str | None
    suggested: bool
    sender: str
    sent_ms: int

    @property
    def place(self) -> tuple[bool, str, int, str]:
        """Where it stands: "first order the children with a valid `order` key", then time, then room id."""
        return (self.order is None, self.order or "", self.sent_ms, self.room_id)

    def as_stripped(self) -> dict[str, Any]:
        """The event, "represented as Stripped State Events with an added `origin_server_ts` key"."""
        content: dict[str, Any] = {"via": list(self.via)}
        if self.order is not None:
            content["order"] = self.order
        if self.suggested:
            content["suggested"] = True
        return {
            "type": "m.space.child",
            "state_key": self.room_id,
            "sender": self.sender,
            "content": content,
            "origin_server_ts": self.sent_ms,
        }


def child_of(event: Mapping[str, Any]) -> Child | None:
    """What the event says; None where it is no child: no `via`, no room id, or no event at all."""
    room_id, content, sender = event.get("state_key"), event.get("content"), event.get("sender")
    sent_ms = event.get("origin_server_ts")
    if (
        not is_room_id(room_id)
        or not isinstance(content, dict)
        or not isinstance(sender, str)
        or type(sent_ms) is not int
    ):
        return None
    via = content.get("via")
    named = via[: 10 * MAX_VIA] if isinstance(via, list) else []
    servers = dict.fromkeys(each for each in named if isinstance(each, str) and is_server_name(each))
    if not servers:
        return None
    return Child(
        str(room_id), tuple(servers)[:MAX_VIA], _order(content), content.get("suggested") is True, sender, sent_ms
    )  # fmt: skip


def in_order(children: Iterable[Child]) -> list[Child]:
    """As they are to be shown; at most MAX_CHILDREN."""
    return sorted(children, key=lambda child: child.place)[:MAX_CHILDREN]


def _order(content: Mapping[str, Any]) -> str | None:
    """ "Must consist of ASCII characters within the range `\\x20` to `\\x7E`, inclusive. Must not exceed 50 characters." """
    order = content.get("order")
    if not isinstance(order, str) or len(order) > MAX_ORDER_CHARACTERS:
        return None
    return order if all("\x20" <= character <= "\x7e" for character in order) else None
