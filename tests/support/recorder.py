"""A plugin of pytest that notes which statements the catalogue and the index are asked: `-p tests.support.recorder`.

One JSON line for each different statement, in the file that `RECORDED` names: the database, the place in our code, the text.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DATABASES = ("catalog.db", "index.db")

_connect = sqlite3.connect
_seen: set[tuple[str, str]] = set()


def _note(database: str, sql: str) -> None:
    if (database, sql) not in _seen and (place := _place()):
        _seen.add((database, sql))
        with Path(os.environ["RECORDED"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps([database, place, sql]) + "\n")


def _place() -> str:
    """Return the module and line that ask, "" for a migration or a test."""
    frame = sys._getframe(1)
    while frame.f_back and ("/image_cache/" not in frame.f_code.co_filename or "/image_cache/db/" in frame.f_code.co_filename):
        if frame.f_code.co_filename.endswith("/db/migrations.py"):
            return ""
        frame = frame.f_back
    module = frame.f_code.co_filename.partition("/image_cache/")[2]
    return module and f"{module}:{frame.f_lineno}"


def connect(path: Any, *args: Any, **options: Any) -> sqlite3.Connection:
    """Like `sqlite3.connect`, for a connection that notes its statements."""
    database = next((name for name in DATABASES if name in str(path)), None)
    if database is None:
        return _connect(path, *args, **options)

    class Noting(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            _note(database, sql)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
            _note(database, sql)
            return super().executemany(sql, parameters)

    return _connect(path, *args, factory=Noting, **options)


sqlite3.connect = connect
