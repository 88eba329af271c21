"""From what a client searches for to the question that the index is asked. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from homeserver.services.search.entries import INDEXED_TYPES, KIND_MARKS, URL_MARK, room_mark, sender_mark
from homeserver.services.search.places import SearchPlace
from homeserver.services.search.request import SearchRequest
from homeserver.services.search.scope import Scope
from homeserver.services.search.terms import Term
from homeserver.storage.search_entries import Wish

MAX_INDEXED_CHOICE: Final = 20
"""Rooms, or senders, that the index itself chooses among: with more of them looking at the entries is cheaper."""
MAX_RANKED: Final = 300
MAX_COUNTED: Final = 1_000
MAX_IGNORED: Final = 100
"""Of ignored senders; further ones are left out of pages afterwards."""


def wish_for(
    term: Term, request: SearchRequest, scope: Scope, ignored: Collection[str], up_to: int, place: SearchPlace | None
) -> Wish | None:
    """None where nothing can be found."""
    senders = _senders(request, place)
    text = term.query
    if text is None or not request.types or not scope.perspectives or senders == frozenset():
        return None
    rooms, by_rank, relations = scope.room_nids, request.by_rank, request.filter
    after = None if place is None or place.rank is None else (place.rank, place.position)
    return Wish(
        matching=_matching(text, request, rooms, senders),
        not_matching=_any_of(_unwanted(request, ignored)),
        also_matching=None if senders is None else _any_of(map(sender_mark, sorted(senders))),
        ranked_by=term.ranking,
        whole=scope.whole,
        parts=scope.parts,
        below=up_to + 1 if by_rank or place is None else place.position,
        by_rank=by_rank,
        most=MAX_RANKED if by_rank else MAX_COUNTED,
        limit=request.limit,
        after=after,
        related=relations.asks_for_relations,
        related_by_senders=relations.related_by_senders,
        related_by_rel_types=relations.related_by_rel_types,
    )


def _senders(request: SearchRequest, place: SearchPlace | None) -> frozenset[str] | None:
    """None: of everybody."""
    wanted = request.filter.senders
    if place is None or place.group is None or place.group[0] != "sender":
        return wanted.only
    value = place.group[1]
    return frozenset((value,)) if wanted.includes(value) else frozenset()


def _matching(text: str, request: SearchRequest, rooms: Collection[int], senders: Collection[str] | None) -> str:
    parts = [text]
    if len(request.types) < len(INDEXED_TYPES):
        parts.append(_one_of(KIND_MARKS[each] for each in sorted(request.types)))
    if len(rooms) <= MAX_INDEXED_CHOICE:
        parts.append(_one_of(map(room_mark, rooms)))
    if senders is not None and len(senders) <= MAX_INDEXED_CHOICE:
        parts.append(_one_of(map(sender_mark, sorted(senders))))
    if request.filter.contains_url:
        parts.append(_one_of((URL_MARK,)))
    return " & ".join(parts)


def _unwanted(request: SearchRequest, ignored: Collection[str]) -> list[str]:
    senders = {*request.filter.senders.excluded, *islice(sorted(ignored), MAX_IGNORED)}
    marks = [sender_mark(each) for each in sorted(senders)]
    return [*marks, URL_MARK] if request.filter.contains_url is False else marks


def _one_of(marks: Iterable[str]) -> str:
    return "(" + " | ".join(f"'{mark}'" for mark in marks) + ")"


def _any_of(marks: Iterable[str]) -> str | None:
    listed = list(marks)
    return _one_of(listed) if listed else None
