"""The words of a mail about unread messages, in text and in HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from homeserver.services.push_mail.digest import UnreadRoom
from homeserver.services.rooms.timeline_event import TimelineEvent

MAX_ROOMS: Final = 10
MAX_EVENTS_A_ROOM: Final = 5
MAX_CHARACTERS: Final = 200

Names = Mapping[tuple[int, str, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Letter:
    """`text` and `html` are the same; `rooms` is for the subject."""

    rooms: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Lines:
    """A room, and who says what in it."""

    name: str
    link: str
    said: Sequence[tuple[str, str]]
    more: int


def compose(rooms: Sequence[UnreadRoom], names: Names) -> Letter:
    """The newest of each room; names as people have chosen them, none of which can become markup."""
    parts = [_lines(room, names) for room in rooms[:MAX_ROOMS]]
    others = len(rooms) - 1
    more = len(rooms) - len(parts)
    title = parts[0].name + (f" and {others} other room{'s' * (others > 1)}" if others else "")
    text, markup = [_as_text(part) for part in parts], [_as_html(part) for part in parts]
    if more:
        text.append(f"There is more in {more} other room{'s' * (more > 1)}.")
        markup.append(f"<p>There is more in {more} other room{'s' * (more > 1)}.</p>")
    return Letter(title, "\n\n".join(text), "\n".join(markup))


def _lines(room: UnreadRoom, names: Names) -> _Lines:
    shown = room.events[-MAX_EVENTS_A_ROOM:]
    said = [(_sender(event, names), _said(event)) for event in shown]
    link = "https://matrix.to/#/" + quote(room.room_id, safe="!:")
    return _Lines(_room_name(room, names), link, said, len(room.events) - len(shown))


def _as_text(lines: _Lines) -> str:
    said = [f"  {sender}: {what}" for sender, what in lines.said]
    earlier = [f"  ({lines.more} earlier)"] * bool(lines.more)
    return "\n".join([lines.name, *earlier, *said, f"  {lines.link}"])


def _as_html(lines: _Lines) -> str:
    said = [f"<li><strong>{html.escape(sender)}</strong>: {html.escape(what)}</li>" for sender, what in lines.said]
    earlier = [f"<li>({lines.more} earlier)</li>"] * bool(lines.more)
    name = f'<h2><a href="{html.escape(lines.link)}">{html.escape(lines.name)}</a></h2>'
    return "\n".join([name, "<ul>", *earlier, *said, "</ul>"])


def _room_name(room: UnreadRoom, names: Names) -> str:
    nid = room.told.room_nid
    for event_type, key in (("m.room.name", "name"), ("m.room.canonical_alias", "alias")):
        text = _text(names.get((nid, event_type, ""), {}), key)
        if text:
            return text
    senders = dict.fromkeys(_sender(event, names) for event in reversed(room.events))
    return ", ".join(list(senders)[:3])


def _sender(event: TimelineEvent, names: Names) -> str:
    return _text(names.get((event.room_nid, "m.room.member", event.sender), {}), "displayname") or event.sender


def _said(event: TimelineEvent) -> str:
    if event.type == "m.room.encrypted":
        return "(an encrypted message)"
    if event.type == "m.room.member" and event.membership == "invite":
        return "invites you to this room"
    return _text(event.content, "body") or f"({_one_line(event.type)})"


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    return _one_line(value) if isinstance(value, str) else ""


def _one_line(text: str) -> str:
    """A short line: nobody writes a whole letter in our name."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 4 * MAX_CHARACTERS]).split())
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1] + "…"
