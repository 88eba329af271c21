"""The answer to `send_join`, taken apart: up to hundreds of megabytes, most of them events that are in it twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from homeserver.federation.errors import BadAnswer
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import MatrixError

MAX_EVENTS: Final = 500_000
"""State and auth chain together: a room of 100,000 members has some 250,000."""


class _Answer(msgspec.Struct):
    """Events stay bytes here: to find their ends takes a hundredth of the time that it takes to build them."""

    state: list[msgspec.Raw]
    auth_chain: list[msgspec.Raw]
    event: msgspec.Raw = msgspec.Raw(b"null")
    members_omitted: bool = False


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    """PDUs as they came. `state` and `auth_chain` are numbers in `pdus`, where each different one is once."""

    pdus: list[Any]
    state: list[int]
    event: Any = None
    """The join with the signatures that the other server has added; None where it sent none."""


def read_join_answer(body: bytes) -> JoinAnswer:
    """Takes a while for large answers: to be run in a thread. Raises BadAnswer."""
    answer = _decode(body)
    if len(answer.state) + len(answer.auth_chain) > MAX_EVENTS:
        raise BadAnswer("The room has more state than this server takes")
    if answer.members_omitted:
        raise BadAnswer("The other server left members out, though it was not asked to")
    numbers: dict[bytes, int] = {}
    state = [_number(raw, numbers) for raw in answer.state]
    for raw in answer.auth_chain:
        _number(raw, numbers)
    event = _pdu(bytes(answer.event))
    return JoinAnswer(list(_pdus(numbers)), state, event)


def _decode(body: bytes) -> _Answer:
    try:
        # The first version of the endpoint answers with `[200, {...}]`.
        if body.lstrip()[:1] == b"[":
            return msgspec.json.decode(body, type=tuple[int, _Answer])[1]
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer("The other server's answer has no state of a room") from error


def _number(raw: msgspec.Raw, numbers: dict[bytes, int]) -> int:
    return numbers.setdefault(bytes(raw), len(numbers))


def _pdus(numbers: Iterable[bytes]) -> Iterable[Any]:
    return (_pdu(raw) for raw in numbers)


def _pdu(raw: bytes) -> Any:
    """What is not JSON is None, which no check lets through: one bad event does not spoil the others."""
    try:
        return decode_lenient(raw)
    except MatrixError:
        return None
