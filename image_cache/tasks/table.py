"""Task table of `catalog.db`: each task with its state, position and outcome. Statements only."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row, parameter_marks
from image_cache.models import TaskState

KEPT = 50  # ended tasks of a kind


class TaskTable:
    """Tasks by id. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def add(self, kind: str, wanted: Mapping[str, Any], now: float) -> tuple[int, bool]:
        """Add a task and return (its id, True); if one of its kind is not over yet, return (the id of that, False)."""
        with self.db.write() as conn:
            row = conn.execute(
                "INSERT INTO tasks (kind, state, wanted, created_at, updated_at) VALUES (?, 'waiting', ?, ?, ?)"
                " ON CONFLICT (kind) WHERE state IN ('waiting', 'running') DO NOTHING RETURNING id",
                (kind, json.dumps(wanted), now, now),
            ).fetchone()
            if row is None:
                row = conn.execute("SELECT id FROM tasks WHERE kind = ? AND state IN ('waiting', 'running')", (kind,)).fetchone()
                return int(row["id"]), False
            conn.execute(
                "DELETE FROM tasks WHERE kind = ? AND state NOT IN ('waiting', 'running')"
                " AND id NOT IN (SELECT id FROM tasks WHERE kind = ? ORDER BY id DESC LIMIT ?)",
                (kind, kind, KEPT),
            )
            return int(row["id"]), True

    def get(self, task_id: int) -> TaskState | None:
        row = self.db.row("SELECT * FROM tasks WHERE id = ?", (min(task_id, 2**63 - 1),))
        return _task(row) if row else None

    def open(self) -> list[TaskState]:
        """Return the tasks that wait or run, oldest first. One whose process died still has the state `running`."""
        return [_task(row) for row in self.db.rows("SELECT * FROM tasks WHERE state IN ('waiting', 'running') ORDER BY id")]

    def latest(self, kind: str) -> TaskState | None:
        row = self.db.row("SELECT * FROM tasks WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,))
        return _task(row) if row else None

    def recent_of(self, kind: str) -> list[TaskState]:
        """Return the tasks of a kind, newest first."""
        return [_task(row) for row in self.db.rows("SELECT * FROM tasks WHERE kind = ? ORDER BY id DESC", (kind,))]

    def before(self, kind: str, task_id: int) -> TaskState | None:
        """Return the task of a kind before another one."""
        row = self.db.row("SELECT * FROM tasks WHERE kind = ? AND id < ? ORDER BY id DESC LIMIT 1", (kind, task_id))
        return _task(row) if row else None

    def recent(self, count: int = 20, without: Collection[str] = ()) -> list[TaskState]:
        """Return the newest tasks, newest first, without those of the kinds in `without`."""
        where = f"WHERE kind NOT IN ({parameter_marks(len(without))})" if without else ""
        rows = self.db.rows(f"SELECT * FROM tasks {where} ORDER BY id DESC LIMIT ?", (*without, count))
        return [_task(row) for row in rows]

    def set(self, task_id: int, now: float, **values: Any) -> None:
        """Write columns of a task."""
        with self.db.write() as conn:
            self.write(conn, task_id, now, **values)

    def write(self, conn: Connection, task_id: int, now: float, **values: Any) -> None:
        """Write columns of a task in a transaction of the caller, which also saves what the task did."""
        values = {name: json.dumps(value) if name in ("position", "outcome") else value for name, value in values.items()}
        names = ", ".join(f"{name} = ?" for name in values)
        conn.execute(f"UPDATE tasks SET {names}, updated_at = ? WHERE id = ?", (*values.values(), now, task_id))

    def cancel(self, task_id: int, now: float) -> bool:
        """Cancel a task; return True if it was not over yet. A waiting one ends at once, a running one at its next step."""
        with self.db.write() as conn:
            ended = conn.execute(
                "UPDATE tasks SET state = 'cancelled', says = 'Cancelled before it began.', updated_at = ? WHERE id = ? AND state = 'waiting'",
                (now, task_id),
            ).rowcount
            running = conn.execute("UPDATE tasks SET is_cancelled = 1 WHERE id = ? AND state = 'running'", (task_id,)).rowcount
            return bool(ended or running)

    def is_cancelled(self, task_id: int) -> bool:
        row = self.db.row("SELECT is_cancelled FROM tasks WHERE id = ?", (task_id,))
        return row is None or bool(row["is_cancelled"])


def _task(row: Row) -> TaskState:
    return TaskState(
        id=row["id"],
        kind=row["kind"],
        state=row["state"],
        wanted=json.loads(row["wanted"]),
        position=json.loads(row["position"]),
        done=row["done"],
        total=row["total"],
        message=row["says"],
        paused_until=row["paused_until"],
        outcome=json.loads(row["outcome"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
