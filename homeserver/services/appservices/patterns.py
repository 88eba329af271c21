"""The regular expressions of namespaces: compiled only if no name, however strange, keeps them busy for long.

Python's engine backtracks. An expression is refused where something that repeats holds a choice (`(a+)+`, `(a|b)*`:
exponential), and where the choices of its repetitions multiply to more steps than MAX_STEPS for a name of 255 characters
(polynomial). What is left, `@_irc_.*:example\\.org` and the like, takes milliseconds at worst, once a name: verdicts are
remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

MAX_PATTERN_CHARACTERS: Final = 1000
MAX_NAME_CHARACTERS: Final = 255
"""Longer names exist nowhere in Matrix."""
MAX_STEPS: Final = (MAX_NAME_CHARACTERS + 1) ** 3
"""Three repetitions without an end, a fifth of a second."""

_SINGLE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_LOOKAROUND = frozenset({"ASSERT", "ASSERT_NOT"})


class UnsafePattern(Exception):  # noqa: N818
    """It cannot be used; the message says why, for the administrator."""


def compile_pattern(text: str) -> re.Pattern[str]:
    """The expression, matched from the beginning of a name as other servers do. Raises UnsafePattern."""
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise UnsafePattern(f"it is longer than {MAX_PATTERN_CHARACTERS} characters")
    try:
        compiled = re.compile(text)
        # What `re` itself makes of the text. The module has no public name since Python 3.11.
        parsed = import_module("re._parser").parse(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafePattern(f"it is no regular expression: {error}") from None
    if _steps(parsed) > MAX_STEPS:
        raise UnsafePattern("it repeats too many things: a long name would keep it busy for seconds")
    return compiled


def matches(pattern: re.Pattern[str], name: str) -> bool:
    """Whether the beginning of the name matches."""
    return len(name) <= MAX_NAME_CHARACTERS and pattern.match(name) is not None


def _steps(parsed: Iterable[tuple[Any, Any]]) -> int:
    """How many ways there are, at most, to match a sequence."""
    steps = 1
    for operation, argument in parsed:
        steps *= _steps_of(str(operation), argument)
    return steps


def _steps_of(name: str, argument: Any) -> int:
    if name in _SINGLE:
        return 1
    if name in _REPEATS:
        return _steps_of_repeat(*argument)
    if name == "SUBPATTERN":
        return _steps(argument[-1])
    if name == "ATOMIC_GROUP":
        return _steps(argument)
    if name == "BRANCH":
        return sum(map(_steps, argument[1]))
    if name in _LOOKAROUND:
        return _steps(argument[1])
    raise UnsafePattern("it refers back to what it has matched, which is not allowed here")


def _steps_of_repeat(least: int, most: int, repeated: Any) -> int:
    inner = _steps(repeated)
    most = min(int(most), MAX_NAME_CHARACTERS)
    if inner > 1 and most > 1:
        raise UnsafePattern("it repeats something that holds a choice or a repetition itself, as (a+)+ does")
    return inner * (max(0, most - least) + 1)
