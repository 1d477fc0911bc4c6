"""What is run on a database."""

import threading

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
