"""What clients may set as a pusher ("POST /pushers/set"), and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from yarl import URL

from homeserver.protocol import errors
from homeserver.protocol.identifiers import utf8_length
from homeserver.services.text_limits import check_text

HTTP: Final = "http"
EMAIL: Final = "email"
KINDS: Final = (HTTP, EMAIL)
EMAIL_APP_ID: Final = "m.email"
NOTIFY_PATH: Final = "/_matrix/push/v1/notify"
EVENT_ID_ONLY: Final = "event_id_only"

MAX_PUSHKEY_BYTES: Final = 512
MAX_APP_ID_CHARACTERS: Final = 64
MAX_NAME_CHARACTERS: Final = 255
MAX_URL_CHARACTERS: Final = 2048
MAX_DATA_BYTES: Final = 8 * 1024
"""It goes with every notification."""


@dataclass(frozen=True, slots=True)
class PusherBody:
    """A pusher as a client sends it, unchecked; `kind` and what names the pusher apart."""

    app_display_name: str | None = None
    device_display_name: str | None = None
    profile_tag: str | None = None
    lang: str | None = None
    data: Mapping[str, Any] | None = None
    append: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """The parts that are not optional any longer."""

    app_display_name: str
    device_display_name: str
    lang: str
    data: Mapping[str, Any]


def check_key(app_id: str, pushkey: str) -> None:
    """Raises InvalidParam."""
    if not app_id or not pushkey:
        raise errors.InvalidParam("'app_id' and 'pushkey' cannot be empty")
    check_text(app_id, "app_id", MAX_APP_ID_CHARACTERS)
    check_text(pushkey, "pushkey", MAX_PUSHKEY_BYTES)
    if utf8_length(pushkey) > MAX_PUSHKEY_BYTES:
        raise errors.InvalidParam(f"'pushkey' has at most {MAX_PUSHKEY_BYTES} bytes")


def check_kind(kind: str) -> None:
    """Raises InvalidParam."""
    if kind not in KINDS:
        raise errors.InvalidParam(f"There is no kind of pusher '{kind[:50]}': use one of {', '.join(KINDS)}, or null")


def check_body(body: PusherBody) -> Checked:
    """Raises MissingParam or InvalidParam naming what is wrong."""
    if body.profile_tag is not None:
        check_text(body.profile_tag, "profile_tag", MAX_NAME_CHARACTERS)
    if body.data is None:
        raise errors.MissingParam("A pusher needs 'data'")
    if len(orjson.dumps(body.data)) > MAX_DATA_BYTES:
        raise errors.InvalidParam(f"'data' has at most {MAX_DATA_BYTES} bytes")
    return Checked(
        _required(body.app_display_name, "app_display_name"),
        _required(body.device_display_name, "device_display_name"),
        _required(body.lang, "lang"),
        body.data,
    )


def _required(text: str | None, name: str) -> str:
    if text is None:
        raise errors.MissingParam(f"A pusher needs '{name}'")
    return check_text(text, name, MAX_NAME_CHARACTERS)


def check_gateway(data: Mapping[str, Any], *, allow_http: bool) -> None:
    """ "MUST be an HTTPS URL with a path of `/_matrix/push/v1/notify`." Raises MissingParam or InvalidParam."""
    if "url" not in data:
        raise errors.MissingParam("A pusher of kind 'http' needs 'url' in its 'data'")
    # Others than "event_id_only" are between the client and its gateway, and mean all that there is.
    if not isinstance(data.get("format", ""), str):
        raise errors.InvalidParam("'data.format' must be a string")
    url = _parsed(data["url"])
    if url.scheme != "https" and not (allow_http and url.scheme == "http"):
        raise errors.InvalidParam("'data.url' must begin with https://")
    if not url.host or url.user is not None or url.password is not None:
        raise errors.InvalidParam("'data.url' must name a host, and no user")
    if url.raw_path != NOTIFY_PATH or url.raw_fragment:
        raise errors.InvalidParam(f"'data.url' must have the path {NOTIFY_PATH}")


def _parsed(text: Any) -> URL:
    if not isinstance(text, str):
        raise errors.InvalidParam("'data.url' must be a string")
    check_text(text, "data.url", MAX_URL_CHARACTERS)
    try:
        url = URL(text)
        # A port out of range is found when it is asked for.
        url.port  # noqa: B018
    except ValueError:
        raise errors.InvalidParam("'data.url' is no URL") from None
    return url
