"""Which encoding a page has: by its first bytes, its header, what it says itself. WHATWG HTML, "sniffing the encoding"."""

from __future__ import annotations

import codecs
import re
from typing import Final

PRESCAN_BYTES: Final = 1024
FALLBACK: Final = "cp1252"
# Those of WHATWG Encoding that Python has. Others, such as punycode or UTF-7, are slow or hide what a page says.
KNOWN: Final = frozenset(
    {
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp866", "koi8-r", "koi8-u", "mac-roman", "cp874"),
        *(f"cp{number}" for number in range(1250, 1259)),
        *(f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
        *("gbk", "gb18030", "big5", "big5hkscs", "euc_jp", "iso2022_jp", "shift_jis", "cp932", "euc_kr", "cp949"),
    }
)
# "iso-8859-1" means windows-1252 to browsers, and so on: WHATWG Encoding, "names and labels".
MEANT: Final = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "gb2312": "gbk"}
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_XML: Final = re.compile(rb"^<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)


def charset_of(body: bytes, declared: str | None) -> str:
    """The name of a Python codec. `declared`: what the Content-Type says."""
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return codec
    return _codec(declared or "") or _said_inside(body[:PRESCAN_BYTES]) or _guessed(body)


def _codec(label: str) -> str | None:
    try:
        name = codecs.lookup(label.strip().strip("\"'")).name
    except (LookupError, ValueError):
        return None
    name = MEANT.get(name, name)
    return name if name in KNOWN else None


def _said_inside(start: bytes) -> str | None:
    found = _META.search(start) or _XML.match(start)
    codec = _codec(found[1].decode("ascii")) if found else None
    # Who could read this in ASCII has no UTF-16 before him.
    return "utf-8" if codec is not None and codec.startswith("utf-16") else codec


def _guessed(body: bytes) -> str:
    try:
        # The end may be cut off in the middle of a character.
        codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return FALLBACK
    return "utf-8"
