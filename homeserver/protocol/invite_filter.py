"""Whose invitations a user wants, from his account data ("Invite permission"; MSC4155).

A user is asked about first, his server next, and of each what is allowed before what is ignored before what is blocked. (The
text of MSC4155 asks about users and servers at once; what clients were made for, and other servers do, is this.)
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.push_rules.globs import MAX_PATTERN_LENGTH, Matcher, compile_glob, has_wildcards

PERMISSION: Final = "m.invite_permission_config"
PERMISSION_BEFORE_1_18: Final = "org.matrix.msc4380.invite_permission_config"
FILTER: Final = "org.matrix.msc4155.invite_permission_config"
CONFIGS: Final = (PERMISSION, PERMISSION_BEFORE_1_18, FILTER)

MAX_STARS: Final = 200
"""In all patterns of one list, each of which costs a search; patterns after them are not asked. Plain names cost nothing."""


class Verdict(enum.Enum):
    """What becomes of an invitation."""

    ALLOW = "allow"
    IGNORE = "ignore"  # it stays, and the user does not see it
    BLOCK = "block"  # whoever invites is told that it is not wanted


_ORDER: Final = (("allowed", Verdict.ALLOW), ("ignored", Verdict.IGNORE), ("blocked", Verdict.BLOCK))


@dataclass(frozen=True, slots=True)
class _Names:
    """One list. Most entries are plain names, which need no matching."""

    plain: frozenset[str]
    globs: tuple[Matcher, ...]

    def match(self, name: str) -> bool:
        return name in self.plain or any(matches(name) for matches in self.globs)

    def __len__(self) -> int:
        return len(self.plain) + len(self.globs)


@dataclass(frozen=True, slots=True)
class InviteFilter:
    """Read once, asked often."""

    blocks_all: bool = False
    of_users: tuple[tuple[_Names, Verdict], ...] = ()
    of_servers: tuple[tuple[_Names, Verdict], ...] = ()

    def verdict(self, inviter: str) -> Verdict:
        """What becomes of an invitation by this user."""
        if self.blocks_all:
            return Verdict.BLOCK
        name = inviter.lower()
        for subject, lists in ((name, self.of_users), (name.partition(":")[2], self.of_servers)):
            for names, verdict in lists:
                if names.match(subject):
                    return verdict
        return Verdict.ALLOW

    @property
    def size(self) -> int:
        """Names and patterns that it holds."""
        return sum(len(names) for names, _ in (*self.of_users, *self.of_servers))


ALLOW_ALL: Final = InviteFilter()


def read_filter(configs: Mapping[str, Any]) -> InviteFilter:
    """From the contents of account data of the types in `CONFIGS`, whatever a client wrote there."""
    permissions = (configs.get(event_type) for event_type in (PERMISSION, PERMISSION_BEFORE_1_18))
    if any(isinstance(each, dict) and each.get("default_action") == "block" for each in permissions):
        return InviteFilter(blocks_all=True)
    lists = configs.get(FILTER)
    # A switch that clients have for the whole; it is in no text.
    if not isinstance(lists, dict) or lists.get("enabled", True) is False:
        return ALLOW_ALL
    return InviteFilter(False, tuple(_lists(lists, "users")), tuple(_lists(lists, "servers")))


def _lists(content: Mapping[str, Any], of: str) -> Iterator[tuple[_Names, Verdict]]:
    for action, verdict in _ORDER:
        names = _names(content.get(f"{action}_{of}"))
        if len(names):
            yield names, verdict


def _names(entries: object) -> _Names:
    texts = {each for each in entries if isinstance(each, str)} if isinstance(entries, list) else set()
    plain = frozenset(each.lower() for each in texts if not has_wildcards(each))
    return _Names(plain, tuple(compile_glob(each) for each in _affordable(texts)))


def _affordable(texts: Iterable[str]) -> Iterator[str]:
    stars = 0
    for each in sorted(each for each in texts if has_wildcards(each) and len(each) <= MAX_PATTERN_LENGTH):
        stars += each.count("*") or 1
        if stars > MAX_STARS:
            return
        yield each
