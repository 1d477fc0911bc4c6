"""Full-text search for PostgreSQL with the words of SQLite: its own tokenizer makes them, so that both find the same records.

PostgreSQL's own parser takes AC/DC or R.E.M. for one word and folds by the language of the server.
"""

import re
import sqlite3
import threading
from collections.abc import Sequence

TOKENIZER = "unicode61 remove_diacritics 2"
MAX_TOKEN_BYTES = 2000  # PostgreSQL takes 2,046,
MAX_POSITION = 16_383  # numbers no word of a text higher than this,
MAX_VECTOR_BYTES = 900_000  # and takes a megabyte in all
GAP = 100  # between two columns, so that no phrase reaches from one into the next
WEIGHTS = "ABCD"  # of the columns, in order: a question may ask for some of them only
COLUMNS = {"names": "A", "facts": "B", "tracks": "C", "notes": "D"}

_PART = re.compile(r'\s*(?:"(?P<phrase>[^"]*)"|\{(?P<columns>[\w ]+)\}\s*:|(?P<sign>AND\b|OR\b|[()*]))')


class Tokenizer:
    """Makes a `tsvector` of texts, and a `tsquery` of a question in the syntax of FTS5. Thread-safe; 1.6 MB once it is used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the connection
        self._conn: sqlite3.Connection | None = None

    def vector(self, texts: Sequence[str | None]) -> str:
        """Return the words of up to four columns with their positions and columns, as the text of a `tsvector`."""
        parts: list[str] = []
        size = base = last = 0
        column = -1
        for row, offset, token in self.tokens(texts):
            if row != column:
                column, base = row, last + GAP * (row - column)
            last = base + offset + 1
            part = f"{_quoted(token)}:{min(last, MAX_POSITION)}{WEIGHTS[column]}"
            size += len(part.encode()) + 8
            if size > MAX_VECTOR_BYTES:
                break
            parts.append(part)
        return " ".join(parts)

    def question(self, expression: str) -> str:
        """Return a question as the text of a `tsquery`, "" for one that finds nothing. Raises `ValueError` if it is not understood."""
        return _Question(self, expression).read()

    def words(self, text: str) -> list[str]:
        return [token for _, _, token in self.tokens((text,))]

    def tokens(self, texts: Sequence[str | None]) -> list[tuple[int, int, str]]:
        """Return (column from 0, offset from 0, word) in order."""
        with self._lock:
            if self._conn is None:
                self._conn = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
                self._conn.execute(f"CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='{TOKENIZER}')")
                self._conn.execute("CREATE VIRTUAL TABLE words USING fts5vocab(texts, instance)")
            self._conn.execute("BEGIN")
            try:
                self._conn.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts))
                return self._conn.execute("SELECT doc, offset, term FROM words ORDER BY doc, offset").fetchall()
            finally:
                self._conn.execute("ROLLBACK")

    def close(self) -> None:
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def __del__(self) -> None:
        """Close what a script forgot to close. Python 3.13 warns of each connection that is left to the garbage collector."""
        conn = getattr(self, "_conn", None)
        if conn is not None:
            conn.close()


class _Question:
    """One reading of an FTS5 expression: phrases, `*`, AND, OR, brackets, columns; side by side means AND."""

    def __init__(self, tokenizer: Tokenizer, expression: str) -> None:
        self._tokenizer = tokenizer
        self._parts: list[tuple[str, str]] = []
        at = 0
        while at < len(expression.rstrip()):
            found = _PART.match(expression, at)
            if found is None:
                raise ValueError(f"not understood: {expression[at : at + 20]!r}")
            kind = str(found.lastgroup)
            self._parts.append((kind, found[kind]))
            at = found.end()

    def read(self) -> str:
        wanted = self._either("")
        if self._parts:
            raise ValueError(f"not understood: {self._parts[0][1]!r}")
        return wanted

    def _either(self, weights: str) -> str:
        found = [self._all(weights)]
        while self._takes("OR"):
            found.append(self._all(weights))
        return _joined(" | ", [one for one in found if one])

    def _all(self, weights: str) -> str:
        found = [self._beside(weights)]
        while self._takes("AND"):
            found.append(self._beside(weights))
        return _joined(" & ", found) if all(found) else ""

    def _beside(self, weights: str) -> str:
        found = [self._one(weights)]
        while self._parts and (self._parts[0][0] != "sign" or self._parts[0][1] == "("):
            found.append(self._one(weights))
        return _joined(" & ", [one for one in found if one])  # here one without words is left out, as in FTS5

    def _one(self, weights: str) -> str:
        kind, text = self._parts.pop(0) if self._parts else ("", "")
        if kind == "columns":
            named = "".join(COLUMNS[name] for name in text.split())
            return self._one("".join(weight for weight in named if weight in weights) or "-" if weights else named)
        if text == "(" and kind == "sign":
            found = self._either(weights)
            if not self._takes(")"):
                raise ValueError("a bracket is open")
            return found
        if kind != "phrase":
            raise ValueError(f"not understood: {text!r}")
        words = [_quoted(word) for word in self._tokenizer.words(text)]
        star = "*" if self._takes("*") else ""
        if not words or weights == "-":  # no column is both asked for and allowed
            return ""
        tails = [*[f":{weights}" if weights else ""] * (len(words) - 1), f":{star}{weights}" if star or weights else ""]
        return _joined(" <-> ", [word + tail for word, tail in zip(words, tails, strict=True)])

    def _takes(self, sign: str) -> bool:
        if self._parts and self._parts[0] == ("sign", sign):
            self._parts.pop(0)
            return True
        return False


def _joined(sign: str, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({sign.join(parts)})" if parts else ""


def _quoted(token: str) -> str:
    cut = token.encode()[:MAX_TOKEN_BYTES].decode(errors="ignore")
    return "'" + cut.replace("\\", "\\\\").replace("'", "''") + "'"
