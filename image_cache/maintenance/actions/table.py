"""Table module of the log of actions in `catalog.db`. SQL only; the rules are in `log`."""

from collections.abc import Callable, Iterator

from image_cache.db.catalog import CatalogDatabase
from image_cache.frozen import frozen


@frozen
class LoggedAction:
    """One line: `who` did `what` (a verb in the past) to `place`, from `address`. `count`: so often within a quarter of an hour."""

    at: float
    kind: str
    who: str
    what: str
    place: str = ""
    address: str = ""
    count: int = 1


@frozen
class ActionFilter:
    """Which lines: of whom, of which kind, since when, with which text. Empty means all."""

    who: str = ""
    kind: str = ""
    since: float = 0.0
    text: str = ""


class ActionTable:
    """Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def add(self, action: LoggedAction, merge_since: float | None = None) -> None:
        """Add a line, or count the same one once more if the last was after `merge_since`.

        A power cut may lose it: the log waits for no disk.
        """
        values = (action.at, action.kind, action.who, action.what, action.place, action.address)
        with self._db.write(is_durable=False) as conn:
            if merge_since is not None:
                changed = conn.execute(
                    "UPDATE actions SET count = count + 1, at = ?1 WHERE id = (SELECT max(id) FROM actions"
                    " WHERE at >= ?7 AND kind = ?2 AND who = ?3 AND what = ?4 AND place = ?5 AND address = ?6)",
                    (*values, merge_since),
                ).rowcount
                if changed:
                    return
            conn.execute("INSERT INTO actions (at, kind, who, what, place, address) VALUES (?, ?, ?, ?, ?, ?)", values)

    def find(self, chosen: ActionFilter, limit: int, offset: int = 0) -> list[LoggedAction]:
        """Return the lines that match, newest first."""
        return list(self._select(chosen, limit, offset))

    def count(self, chosen: ActionFilter) -> int:
        where, values = _where(chosen)
        return int(self._db.rows(f"SELECT count(*) FROM actions WHERE {where}", values)[0][0])

    def names(self) -> list[str]:
        """Return everyone who is in the log."""
        return [str(row[0]) for row in self._db.rows("SELECT who FROM actions GROUP BY who ORDER BY lower(who), who")]

    def prune(self, before: float) -> int:
        """Delete the lines from before this time; return how many."""
        if self._db.row("SELECT 1 FROM actions WHERE at < ? LIMIT 1", (before,)) is None:
            return 0
        with self._db.write() as conn:
            return int(conn.execute("DELETE FROM actions WHERE at < ?", (before,)).rowcount)

    def shorten_addresses(self, before: float, shorten: Callable[[str], str]) -> None:
        """Replace the addresses of the lines from before this time by what `shorten` leaves of them."""
        found = self._db.rows("SELECT DISTINCT address FROM actions WHERE at < ? AND is_short = 0", (before,))
        if not found:
            return
        with self._db.write() as conn:
            for row in found:
                conn.execute(
                    "UPDATE actions SET address = ?, is_short = 1 WHERE at < ? AND is_short = 0 AND address = ?",
                    (shorten(str(row[0])), before, row[0]),
                )

    def _select(self, chosen: ActionFilter, limit: int, offset: int) -> Iterator[LoggedAction]:
        where, values = _where(chosen)
        columns = "at, kind, who, what, place, address, count"
        order = "ORDER BY at DESC, id DESC LIMIT ? OFFSET ?"
        for row in self._db.rows(f"SELECT {columns} FROM actions WHERE {where} {order}", (*values, limit, offset)):
            yield LoggedAction(**dict(row))


def _where(chosen: ActionFilter) -> tuple[str, tuple[object, ...]]:
    clauses: list[str] = ["at >= ?"]
    values: list[object] = [chosen.since]
    for column, value in (("who", chosen.who), ("kind", chosen.kind)):
        if value:
            clauses.append(f"{column} = ?")
            values.append(value)
    if chosen.text:
        clauses.append("instr(lower(who || ' ' || what || ' ' || place || ' ' || address), lower(?)) > 0")
        values.append(chosen.text)
    return " AND ".join(clauses), tuple(values)
