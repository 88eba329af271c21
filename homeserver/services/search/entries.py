"""From an event to its entry in the index. Pure."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from homeserver.protocol.content import text_of
from homeserver.services.directory.facts import plain_topic
from homeserver.services.search.words import fold, words_of

MAX_PLACE: Final = 16_383
"""The last place that PostgreSQL tells from others ("Limitations" of text search)."""
MAX_WORDS: Final = 4_000
"""Of one event that are indexed, the first ones."""
MAX_CHARACTERS: Final = 16_384
"""Of one text that are looked at: some characters become many when they are folded."""

# What is searched: the types of events that have such a text, the mark of their entries, and the key by which clients ask.
MESSAGE, NAME, TOPIC = "m.room.message", "m.room.name", "m.room.topic"
INDEXED_TYPES: Final = (MESSAGE, NAME, TOPIC)
KIND_MARKS: Final[Mapping[str, str]] = {MESSAGE: "#b", NAME: "#n", TOPIC: "#t"}
KEYS: Final[Mapping[str, str]] = {"content.body": MESSAGE, "content.name": NAME, "content.topic": TOPIC}
URL_MARK: Final = "#u"


def room_mark(room_nid: int) -> str:
    """Of all entries of a room."""
    return f"!{room_nid}"


def sender_mark(user_id: str) -> str:
    """Of all entries of a sender. Whole user ids would be a fifth of the index; two of the same mark are one in 10^12."""
    return "@" + b32encode(blake2b(user_id.encode(), digest_size=5).digest()).decode().lower()


def searched_text(event_type: str, state_key: str | None, content: Mapping[str, Any]) -> str | None:
    """The text by which the event is found; None for those that are not. Of an edit it is the new one."""
    if event_type == MESSAGE:
        return None if state_key is not None else text_of(newest_content(content), "body")
    if state_key != "":
        return None
    if event_type == NAME:
        return text_of(content, "name")
    return plain_topic(content) if event_type == TOPIC else None


def newest_content(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """That of an edit, or the event's own."""
    relation, new = content.get("m.relates_to"), content.get("m.new_content")
    is_edit = isinstance(relation, dict) and relation.get("rel_type") == "m.replace"
    return new if is_edit and isinstance(new, dict) else content


def entry_words(
    event_type: str, state_key: str | None, sender: str, room_nid: int, content: Mapping[str, Any]
) -> str | None:
    """A `tsvector` as text: the event's words with their places, and its marks; None where there are no words."""
    text = searched_text(event_type, state_key, content)
    if text is None:
        return None
    places: dict[str, list[int]] = {}
    for count, word in enumerate(words_of(fold(text[:MAX_CHARACTERS]))):
        if count == MAX_WORDS:
            break
        places.setdefault(word.text, []).append(min(word.place, MAX_PLACE))
    if not places:
        return None
    marks = [room_mark(room_nid), sender_mark(sender), KIND_MARKS[event_type]]
    if "url" in content:
        marks.append(URL_MARK)
    # Words have letters, digits and symbols only, and marks no quotes: nothing has to be escaped.
    with_places = (f"'{word}':{','.join(map(str, where))}" for word, where in places.items())
    return " ".join((*with_places, *(f"'{mark}'" for mark in marks)))
