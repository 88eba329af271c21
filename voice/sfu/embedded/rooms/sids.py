"""Names the server gives: PA_ (participant), TR_ (track), RM_ (room), as LiveKit clients expect them."""

from __future__ import annotations

import secrets
import string
from typing import Literal

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 12

Prefix = Literal["PA_", "TR_", "RM_"]


def new_sid(prefix: Prefix) -> str:
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
