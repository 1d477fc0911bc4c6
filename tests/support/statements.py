"""Statements of a database: a list of those that ran, and a hook that runs something just before one."""

import threading
from collections.abc import Callable

from image_cache.db.database import Database


def traced(database: Database) -> list[str]:
    """Return a list that collects the statements of this thread on the database from now on; those of other threads are not noted."""
    seen: list[str] = []
    here = threading.get_ident()

    def note(sql: str) -> None:
        if threading.get_ident() == here:
            seen.append(sql)

    with database.reading():
        pass  # so that one is open
    for conn in database._idle:
        conn.set_trace_callback(note)
    return seen


def before_statement(database: Database, text: str, action: Callable[[], object], *, number: int = 1) -> None:
    """Run `action` once, just before this thread runs the statement that is the `number`th to contain `text`.

    It stands for what another thread or process does at that moment.
    """
    here = threading.get_ident()
    seen = 0

    def note(sql: str) -> None:
        nonlocal seen
        if threading.get_ident() == here and text in sql:
            seen += 1
            if seen == number:
                action()

    with database.reading():
        pass  # so that one is open
    for conn in database._idle:
        conn.set_trace_callback(note)
