"""What headers of a file say: boundary, name."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from homeserver.federation.errors import BadAnswer

# RFC 2046, section 5.1.1: "boundary delimiters must not appear within the encapsulated material", at most 70 characters;
# a few more do no harm.
_BOUNDARY: Final = re.compile(
    r";\s*boundary=(?:\"([\x20-\x7e]{1,200}?)\"|([!#-'*+\-./0-9:=?A-Z^_a-z~]{1,200}))", re.I | re.A
)
# RFC 6266: `filename*` (RFC 5987) wins over `filename`.
_EXTENDED_NAME: Final = re.compile(r";\s*filename\*\s*=\s*utf-8'[^';\s]{0,20}'([^;\s]{1,2000})", re.I | re.A)
_NAME: Final = re.compile(r";\s*filename\s*=\s*(?:\"((?:[^\"\\]|\\.){1,1000})\"|([^\s;\"]{1,1000}))", re.I | re.A)


def boundary_of(content_type: str) -> str:
    """Of a multipart/mixed. Raises BadAnswer for anything else."""
    found = _BOUNDARY.search(content_type)
    if content_type.partition(";")[0].strip().lower() != "multipart/mixed" or found is None:
        raise BadAnswer("The other server's file is not in the form that was agreed on")
    return found[1] or found[2]


def file_name_of(content_disposition: str) -> str | None:
    """The name, as it is claimed: for `clean_file_name`."""
    extended = _EXTENDED_NAME.search(content_disposition)
    if extended is not None:
        return unquote(extended[1])
    name = _NAME.search(content_disposition)
    if name is None:
        return None
    return re.sub(r"\\(.)", r"\1", name[1]) if name[1] is not None else name[2]
