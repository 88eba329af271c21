"""Table `long_tasks`: work that administrators have ordered, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

COLUMNS = "task_id, kind, target, ordered_by, wish, progress, status, error, ordered_ms, finished_ms"

ADD = """
INSERT INTO long_tasks (task_id, kind, target, ordered_by, wish, ordered_ms)
SELECT $1, $2, $3, $4, $5::jsonb, $6
WHERE (SELECT count(*) FROM long_tasks WHERE finished_ms IS NULL) < $7
RETURNING task_id
"""

GET = f"SELECT {COLUMNS} FROM long_tasks WHERE task_id = $1 AND kind = $2"

OF_TARGET = f"SELECT {COLUMNS} FROM long_tasks WHERE target = $1 AND kind = $2 ORDER BY number DESC LIMIT $3"

UNFINISHED = f"SELECT {COLUMNS} FROM long_tasks WHERE finished_ms IS NULL ORDER BY number"

SAVE = """
UPDATE long_tasks SET progress = $2::jsonb, status = $3, error = $4, finished_ms = $5 WHERE task_id = $1
"""

FORGET = "DELETE FROM long_tasks WHERE finished_ms < $1"


@dataclass(slots=True)
class LongTask:
    """One order. Its handler keeps in `progress` what it needs to go on, also after a restart: a JSON object."""

    task_id: str
    kind: str
    target: str
    ordered_by: str
    wish: dict[str, Any]
    progress: dict[str, Any] = field(default_factory=dict)
    status: str = "scheduled"
    error: str | None = None
    ordered_ms: int = 0
    finished_ms: int | None = None


class LongTaskRows:
    """Queries over long tasks."""

    async def add(self, q: Queries, task: LongTask, limit: int) -> bool:
        """A new order; False where `limit` are unfinished already."""
        wish = orjson.dumps(task.wish).decode()
        made = await q.fetchval(
            ADD, task.task_id, task.kind, task.target, task.ordered_by, wish, task.ordered_ms, limit
        )  # fmt: skip
        return made is not None

    async def get(self, q: Queries, task_id: str, kind: str) -> LongTask | None:
        """The order of this id and kind."""
        row = await q.fetchrow(GET, task_id, kind)
        return _task(row) if row else None

    async def of_target(self, q: Queries, target: str, kind: str, limit: int) -> list[LongTask]:
        """Orders about one room or user, the newest first."""
        return [_task(row) for row in await q.fetch(OF_TARGET, target, kind, limit)]

    async def unfinished(self, q: Queries) -> list[LongTask]:
        """What is to be done, the oldest first."""
        return [_task(row) for row in await q.fetch(UNFINISHED)]

    async def save(self, q: Queries, task: LongTask) -> None:
        """How far it has come. Other servers' words may be part of it, with NUL characters, which PostgreSQL does not take."""
        progress = orjson.dumps(task.progress).decode().replace(r"\u0000", r"\ufffd")
        error = None if task.error is None else task.error.replace("\0", "\ufffd")
        await q.execute(SAVE, task.task_id, progress, task.status, error, task.finished_ms)

    async def forget(self, q: Queries, finished_before_ms: int) -> None:
        """What was finished long ago."""
        await q.execute(FORGET, finished_before_ms)


def _task(row: Record) -> LongTask:
    task_id, kind, target, ordered_by, wish, progress, *rest = row
    return LongTask(task_id, kind, target, ordered_by, orjson.loads(wish), orjson.loads(progress), *rest)
