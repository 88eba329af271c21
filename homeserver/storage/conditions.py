"""WHERE clauses of lists that may be narrowed by many things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def where(conditions: Mapping[str, str], wanted: object) -> tuple[str, list[Any]]:
    """What `wanted` asks for: of each of its fields that is not None, the condition of that name, {0} being its value.

    The clause, empty or with a space behind it, and the values of its parameters $1, $2, ... Conditions are constants:
    what people have sent is in the values only.
    """
    clauses: list[str] = []
    values: list[Any] = []
    for name, condition in conditions.items():
        value = getattr(wanted, name)
        if value is not None:
            values.append(value)
            clauses.append(condition.format(f"${len(values)}"))
    return f"WHERE {' AND '.join(clauses)} " if clauses else "", values
