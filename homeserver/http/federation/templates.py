"""What make_join, make_leave and make_knock have in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from homeserver.http.request import Request

MAX_VERSIONS = 100


class Template(Protocol):
    """federation/doors/templates.py."""

    @property
    def room_version(self) -> str: ...

    @property
    def event(self) -> dict[str, Any]: ...


def versions_of(request: Request[None]) -> Collection[str]:
    """The room versions that the other server knows. "Defaults to `[1]`"."""
    return request.query.strings("ver")[:MAX_VERSIONS] or ["1"]


def template_json(template: Template) -> dict[str, Any]:
    return {"room_version": template.room_version, "event": template.event}
