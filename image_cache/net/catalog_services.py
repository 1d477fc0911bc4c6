"""The table `services` of `catalog.db`: what is known about a service that is asked for records. Statements only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection, Row


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How it stands with a service. Points in time are None while there was none; `fault` is why the last call failed.

    `fault`: `away` (no answer at all), `refused` (asking again does not help), `trouble` (answers, but not with what was asked
    for), or "" when the last call went well.
    """

    account: str = ""
    items: int | None = None
    contact_at: float | None = None
    pass_at: float | None = None
    failed_at: float | None = None
    fault: str = ""
    says: str = ""
    paused_until: float = 0.0


_COLUMNS = ", ".join(ServiceState.__dataclass_fields__)


class ServiceStateTable:
    """One row a service. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self.db = catalog

    def state(self, name: str) -> ServiceState:
        row = self.db.row(f"SELECT {_COLUMNS} FROM services WHERE name = ?", (name,))
        return ServiceState(**dict(row)) if row else ServiceState()

    def set(self, name: str, **values: Any) -> None:
        with self.db.write() as conn:
            self.write(conn, name, **values)

    def write(self, conn: Connection, name: str, **values: Any) -> None:
        """Write columns in a transaction of the caller."""
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        updates = ", ".join(f"{column} = excluded.{column}" for column in values)
        conn.execute(
            f"INSERT INTO services (name, {columns}) VALUES (?, {marks}) ON CONFLICT (name) DO UPDATE SET {updates}",
            (name, *values.values()),
        )

    def forget(self, name: str) -> None:
        """Forget on whose behalf it was asked, and what came of it. How often it was asked stays: its limit is not ours to reset."""
        self.set(name, account="", items=None, contact_at=None, pass_at=None, failed_at=None, fault="", says="")

    @contextmanager
    def alone(self, name: str) -> Iterator[tuple[Connection, Row | None]]:
        """Yield the row inside a transaction that no other writes in, in this process or another."""
        with self.db.write() as conn:
            yield conn, conn.execute("SELECT * FROM services WHERE name = ?", (name,)).fetchone()
