"""A statement in SQLite's words, said to PostgreSQL: the marks of its parameters, the forms of `dialect`, full-text search."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from image_cache.db import dialect
from image_cache.db.postgres.tokens import Tokenizer
from image_cache.frozen import frozen

# The forms of `dialect`, with `@` for a column and `?` for a parameter or a text in its place, and their twins.
TWINS = {
    dialect.NUMBERS: r"SELECT CAST(member AS bigint) FROM jsonb_array_elements_text(CAST(\1 AS jsonb)) AS members (member)",
    dialect.TEXTS: r"SELECT member FROM jsonb_array_elements_text(CAST(\1 AS jsonb)) AS members (member)",
    dialect.PLAYING_TIME_S: (
        "(SELECT CASE WHEN count(*) = count(track ->> 2) THEN sum(CAST(track ->> 2 AS double precision)) END"
        " FROM jsonb_array_elements(CAST(tracks AS jsonb)) AS all_tracks (track))"
    ),
    dialect.json_list("@"): r"CAST(coalesce(json_agg(\1 ORDER BY \1), '[]') AS text)",
    dialect.joined_ids("@", 600): r"substr(string_agg(CAST(\1 AS text), ',' ORDER BY \1), 1, 600)",
    dialect.by_index("@"): "",
    # Best first: PostgreSQL has other figures for that than FTS5.
    "image_words MATCH ?": r"image_words.tokens @@ CAST(\1 AS tsquery)",
    "ORDER BY rank,": "ORDER BY ts_rank(image_words.tokens, CAST($1 AS tsquery)) DESC,",
    "words MATCH ?": r"tokens @@ CAST(\1 AS tsquery)",
}
_TWINS = [
    (re.compile(re.escape(form).replace(r"\?", r"(\?|'[^']*')").replace("@", r"(\w+)")), twin) for form, twin in TWINS.items()
]
_MARK = re.compile(r"(?<!:):([A-Za-z_]\w*)|\?(\d*)")
_QUOTED = re.compile(r"('(?:[^']|'')*')")
Values = Sequence[Any] | Mapping[str, Any]


@frozen
class Statement:
    """The text for PostgreSQL, and what makes its parameters from those of the statement that was translated."""

    sql: str
    values: Callable[[Values, Tokenizer], Sequence[Any]]


@lru_cache(maxsize=1000)  # IN lists differ by length
def translated(sql: str) -> Statement:
    """Return a statement as PostgreSQL takes it."""
    if "INTO words (" in sql:
        return _of_words(sql)
    for form, twin in _TWINS:
        sql = form.sub(twin, sql)
    names: dict[str, int] = {}
    count = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal count
        if found[1]:
            return f"${names.setdefault(found[1], len(names) + 1)}"
        count += not found[2]
        return f"${found[2] or count}"

    parts = _QUOTED.split(sql)  # texts in quotes are every second one
    parts[::2] = [_MARK.sub(mark, part) for part in parts[::2]]
    if "AS tsquery)" in sql:  # the first parameter
        return Statement("".join(parts), lambda values, tokenizer: (tokenizer.question(values[0]), *values[1:]))  # type: ignore[index]
    if names:
        return Statement("".join(parts), lambda values, _: [values[name] for name in names])  # type: ignore[call-overload]
    return Statement("".join(parts), lambda values, _: values)  # type: ignore[arg-type, return-value]


def _of_words(sql: str) -> Statement:
    """Return the twin of a statement that writes to a contentless table of FTS5: a row of it is replaced by its id alone."""
    if "'delete-all'" in sql:
        return Statement("DELETE FROM words", lambda _values, _: ())
    if "'delete'" in sql:
        return Statement("DELETE FROM words WHERE rowid = $1", lambda values, _: values[:1])  # type: ignore[index]
    return Statement(
        "INSERT INTO words (rowid, tokens) VALUES ($1, CAST($2 AS tsvector))",
        lambda values, tokenizer: (values[0], tokenizer.vector(values[1:])),  # type: ignore[index]
    )
