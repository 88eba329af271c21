"""Answers with very many events, taken apart in a thread and event by event, so that nobody waits for the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from homeserver.federation.errors import BadAnswer
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import MatrixError


class _Lists(msgspec.Struct):
    """Events stay bytes here: to find their ends takes a hundredth of the time that it takes to build them."""

    pdus: list[msgspec.Raw] = []
    auth_chain: list[msgspec.Raw] = []


def read_lists(body: bytes, most: int) -> tuple[list[Any], list[Any]]:
    """`pdus` and `auth_chain` of an answer, at most so many together. To be run in a thread. Raises BadAnswer."""
    try:
        answer = msgspec.json.decode(body, type=_Lists)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer("The other server's answer has no lists of events") from error
    if len(answer.pdus) + len(answer.auth_chain) > most:
        raise BadAnswer(f"The other server's answer has more than {most} events")
    return list(_decoded(answer.pdus)), list(_decoded(answer.auth_chain))


def _decoded(raws: Iterable[msgspec.Raw]) -> Iterable[Any]:
    """What is not JSON is None, which no check lets through: one bad event does not spoil the others."""
    for raw in raws:
        try:
            yield decode_lenient(bytes(raw))
        except MatrixError:
            yield None
