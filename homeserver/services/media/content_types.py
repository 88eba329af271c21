"""Content types: which may be shown inside a page. Client-server API, "Serving inline content"."""

from __future__ import annotations

import re
from typing import Final

UNKNOWN_TYPE: Final = "application/octet-stream"
MAX_CONTENT_TYPE_CHARACTERS: Final = 255
MAX_FILE_NAME_CHARACTERS: Final = 255

_TOKEN = r"[\w!#$&^.+-]+"
_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(\s*;\s*{_TOKEN}=({_TOKEN}|\"[\w !#$&^.+:/;=,-]*\"))*", re.ASCII)
# The list of the spec: nothing on it can run a script in the page that shows it.
INLINE_TYPES: Final = frozenset(
    {
        *("text/css", "text/plain", "text/csv", "application/json", "application/ld+json"),
        *("image/jpeg", "image/gif", "image/png", "image/apng", "image/webp", "image/avif"),
        *("video/mp4", "video/webm", "video/ogg", "video/quicktime"),
        *("audio/mp4", "audio/webm", "audio/aac", "audio/mpeg", "audio/ogg", "audio/wave", "audio/wav", "audio/x-wav"),
        *("audio/x-pn-wav", "audio/flac", "audio/x-flac"),
    }
)


def clean_content_type(text: str | None) -> str:
    """What a client said its file is, if that is a content type at all."""
    if text is None or len(text) > MAX_CONTENT_TYPE_CHARACTERS or not _TYPE.fullmatch(text.strip()):
        return UNKNOWN_TYPE
    return text.strip()


def may_be_inline(content_type: str) -> bool:
    """Whether a browser may show the file instead of saving it."""
    return content_type.partition(";")[0].strip().lower() in INLINE_TYPES


def clean_file_name(name: str | None) -> str | None:
    """A name without control characters, cut to a length that every file system takes; None where nothing is left."""
    if name is None:
        return None
    printable = "".join(character for character in name if character.isprintable())
    return printable[:MAX_FILE_NAME_CHARACTERS] or None
