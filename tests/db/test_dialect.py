"""The catalogue and the image registry are asked in words that SQLite and PostgreSQL share, so that each can hold them.

Statements are found as text in the modules, with `{…}` for what is put in. Only the places in `SQLITE_ONLY` may use words of
SQLite's own.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import parameter_marks
from image_cache.db.dialect import lowered

ROOT = Path(__file__).resolve().parents[2]

# What only SQLite ever runs, and why.
SQLITE_ONLY = {
    "image_cache/db/commit_watch.py": "a pragma",
    "image_cache/db/connection.py": "pragmas of a file",
    "image_cache/db/database.py": "pragmas and transactions of a file",
    "image_cache/db/dialect.py": "the forms that differ",
    "image_cache/db/diagnosis.py": "saves the rows of a damaged file",
    "image_cache/db/integrity.py": "checks a file",
    "image_cache/db/migrations.py": "the version of a file",
    "image_cache/db/postgres/*.py": "PostgreSQL's own words",
    "image_cache/db/*_schema.py": "SQLite's schema",
    "image_cache/engine/schema.py": "SQLite's schema",
    "image_cache/engine/index.py": "which files this node has",
    "image_cache/engine/stats/*.py": "what this node measured",
    "image_cache/files/disk/index.py": "the files of this node",
    "image_cache/records/import_rows.py": "a file of one import",
    "image_cache/tables/legacy_database.py": "the file of another program",
}
# Single statements in modules that are asked in shared words otherwise.
SQLITE_STATEMENTS = {
    "image_cache/records/search/index_table.py": r"\bINTO words\b",  # FTS5
    "image_cache/records/search/tiers.py": r"\bFROM words WHERE words MATCH\b",
    "image_cache/streams/table.py": r"\bJOIN image_words\b",
    "image_cache/streams/original_table.py": r"\bFROM sqlite_master\b",  # a backup of any version
}

IS_SQL = re.compile(
    r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE|PRAGMA)\s|\b(ON CONFLICT|COLLATE|ORDER BY|GROUP BY|WHERE|CASE WHEN|EXISTS \()"
)
# Name of the rule -> words that it refuses.
REFUSED = {
    "INSERT OR: use ON CONFLICT": r"\bINSERT\s+OR\b|\bUPDATE\s+OR\b|^\s*REPLACE\s+INTO\b",
    "ON CONFLICT DO UPDATE names its columns": r"\bON CONFLICT\s+DO\s+UPDATE\b",
    "dates and times are worked out in Python": r"\b(strftime|julianday|unixepoch|datetime|date|time)\s*\(|'unixepoch'|'localtime'",
    "COLLATE: use lower()": r"\bCOLLATE\b",
    "IS with a value: use IS [NOT] DISTINCT FROM": r"\bIS\s+(NOT\s+)?(?!NULL\b|NOT\b|DISTINCT\b|TRUE\b|FALSE\b)[\w?:]",
    "use RETURNING or rowcount": r"\b(changes|total_changes|last_insert_rowid)\s*\(",
    "rowid": r"\b(rowid|_rowid_|oid)\b",
    "patterns differ in case": r"\b(GLOB|LIKE|REGEXP|MATCH)\b",
    "a limit is a number": r"\bLIMIT\s+-|\bLIMIT\s+\?\s*,",
    "functions of SQLite": r"\b(instr|ifnull|iif|group_concat|total|typeof|hex|unhex|randomblob|random|printf|char|unicode|zeroblob|quote|json\w*)\s*\(",
    "a blob is a parameter": r"\b[xX]'",
    "text stands in single quotes": r'"',
    "machinery of SQLite": r"\b(PRAGMA|pragma_\w+|sqlite_\w+|INDEXED\s+BY|WITHOUT\s+ROWID|AUTOINCREMENT|VACUUM|ATTACH)\b",
    "REAL is half as exact elsewhere": r"\bAS\s+REAL\b",
    "equal is one sign": r"==",
    "a truth is compared with 1": r"\b(WHERE|AND|OR|NOT|WHEN)\s+\(?(\w+\.)?(is|was|has|may|takes)_\w+(?!\w|\s*(=|<|>|IS\b))",
    "comparisons are counted with FILTER": r"\bsum\s*\([^()]*(=|<|>)",
    "an IN list is made by parameter_marks": r"IN \(\{(?!parameter_marks\()[^}]*'\?'",
    "DO UPDATE names the table of an old value": r"\bDO UPDATE\b.*?\b(\w+) = \1\b(?!\.)",
    "HAVING repeats the aggregate": r"\bHAVING\s+\w+\s*[<>=]",
}
OF_VALUES = {"an IN list is made by parameter_marks"}
BAD = {
    "INSERT OR: use ON CONFLICT": ["INSERT OR IGNORE INTO a VALUES (?)", "INSERT OR REPLACE INTO a VALUES (?)", "REPLACE INTO a VALUES (?)"],
    "ON CONFLICT DO UPDATE names its columns": ["INSERT INTO a VALUES (?) ON CONFLICT DO UPDATE SET b = 1"],
    "dates and times are worked out in Python": ["SELECT strftime('%Y', at) FROM a", "SELECT date(at) FROM a"],
    "COLLATE: use lower()": ["SELECT b FROM a ORDER BY b COLLATE NOCASE"],
    "IS with a value: use IS [NOT] DISTINCT FROM": ["SELECT 1 FROM a WHERE b IS ?", "SELECT 1 FROM a WHERE b IS NOT c", "SELECT 1 FROM a WHERE b IS :b"],
    "use RETURNING or rowcount": ["SELECT changes() AS n", "SELECT last_insert_rowid()"],
    "rowid": ["SELECT rowid FROM a"],
    "patterns differ in case": ["SELECT 1 FROM a WHERE b LIKE ?", "SELECT 1 FROM a WHERE b GLOB ?"],
    "a limit is a number": ["SELECT b FROM a LIMIT -1 OFFSET ?", "SELECT b FROM a LIMIT ?, ?"],
    "functions of SQLite": ["SELECT group_concat(b) FROM a", "SELECT 1 FROM a WHERE instr(b, ?)", "SELECT json_extract(b, '$') FROM a"],
    "a blob is a parameter": ["SELECT 1 FROM a WHERE b <> x''"],
    "text stands in single quotes": ['SELECT 1 FROM a WHERE b = "c"'],
    "machinery of SQLite": ["PRAGMA user_version", "SELECT 1 FROM a INDEXED BY b", "SELECT 1 FROM sqlite_master"],
    "REAL is half as exact elsewhere": ["SELECT CAST(b AS REAL) FROM a"],
    "equal is one sign": ["SELECT 1 FROM a WHERE b == 1"],
    "a truth is compared with 1": ["SELECT 1 FROM a WHERE is_b", "SELECT 1 FROM a WHERE b = ? AND NOT a.is_c AND d = 1", "SELECT 1 FROM a WHERE (is_b OR c = 1)"],
    "comparisons are counted with FILTER": ["SELECT sum(b > ?) FROM a"],
    "an IN list is made by parameter_marks": ["SELECT 1 FROM a WHERE b IN ({','.join('?' * len(c))})"],
    "DO UPDATE names the table of an old value": ["INSERT INTO a VALUES (?) ON CONFLICT (b) DO UPDATE SET c = excluded.c, d = d + 1"],
    "HAVING repeats the aggregate": ["SELECT b, count(*) AS n FROM a GROUP BY b HAVING n > 1"],
    "a subquery in FROM has a name": ["SELECT 1 FROM (SELECT b FROM a WHERE (c = 1)) GROUP BY b", "SELECT 1 FROM ({parts})"],
    "min and max of two values: use CASE": ["UPDATE a SET b = max(b - 1, 0)", "SELECT min(coalesce(a, 1), ?) FROM a"],
}  # fmt: skip
# What the rules must let through.
GOOD = [
    "SELECT 1 FROM (SELECT b FROM a WHERE c = (1)) AS d JOIN ({parts}) AS e ON e.b = d.b",
    "SELECT max(a), min(b) FROM a WHERE c IS NOT NULL AND d IS DISTINCT FROM ?",
    "SELECT max(coalesce(a, 0)), count(*) FILTER (WHERE b > ?) FROM a WHERE is_c = 1 AND NOT EXISTS (SELECT 1 FROM d)",
    "INSERT INTO a (is_b, c) VALUES (?, ?) ON CONFLICT (c) DO UPDATE SET is_b = excluded.is_b",
    "SELECT 1 FROM a WHERE b IN ({parameter_marks(len(c))}) ORDER BY lower(b) DESC NULLS LAST LIMIT ? OFFSET ?",
]


def problems(sql: str) -> list[str]:
    """Return the rules that a statement, or a part of one, breaks."""
    words_of = re.sub(r"\{[^{}]*\}", "{}", sql)  # what is put in is looked at where it is written
    broken = [rule for rule, refused in REFUSED.items() if re.search(refused, sql if rule in OF_VALUES else words_of)]
    broken += ["min and max of two values: use CASE"] * _has_scalar_extreme(words_of)
    return broken + ["a subquery in FROM has a name"] * _has_nameless_source(words_of)


def _has_nameless_source(sql: str) -> bool:
    """PostgreSQL before 16 insists on a name."""
    for found in re.finditer(r"\b(?:FROM|JOIN)\s*\(", sql):
        depth, end = 1, found.end()
        while depth and end < len(sql):
            depth += (sql[end] == "(") - (sql[end] == ")")
            end += 1
        if not depth and not re.match(r"\s*AS\s+\w", sql[end:]):
            return True
    return False


def _has_scalar_extreme(sql: str) -> bool:
    for found in re.finditer(r"\b(?:min|max)\s*\(", sql):
        depth = 1
        for char in sql[found.end() :]:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                break
            if char == "," and depth == 1:
                return True
    return False


@cache
def statements() -> tuple[tuple[str, int, str], ...]:
    """Return (module, line, text) of what is SQL and not only SQLite's."""
    found = []
    for path in sorted((ROOT / "image_cache").rglob("*.py")):
        name = path.relative_to(ROOT)
        if not any(name.match(only) for only in SQLITE_ONLY):
            own = SQLITE_STATEMENTS.get(name.as_posix())
            found += [(name.as_posix(), line, sql) for line, sql in _texts(path) if not (own and re.search(own, sql))]
    return tuple(found)


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in parts or id(node) in documents:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                part.value if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"  # type: ignore[attr-defined]
                for part in node.values
            )
        else:
            continue
        if IS_SQL.search(text):
            yield node.lineno, text


def test_statements_about_shared_tables_use_shared_words() -> None:
    wrong = [f"{module}:{line} {rule}" for module, line, sql in statements() for rule in problems(sql)]
    assert wrong == []


def test_the_statements_are_found() -> None:
    """A rule that reads nothing refuses nothing."""
    rooms = {module.split("/")[1] for module, _, _ in statements()}
    assert {
        "accounts",
        "covers",
        "db",
        "engine",
        "importers",
        "maintenance",
        "net",
        "records",
        "scrobbling",
        "streams",
        "tasks",
    } <= rooms
    assert len(statements()) > 500


def test_every_exception_is_needed() -> None:
    unused = [only for only in SQLITE_ONLY if not any(path.match(only) for path in (ROOT / "image_cache").rglob("*.py"))]
    texts = {module: [sql for _, sql in _texts(ROOT / module)] for module in SQLITE_STATEMENTS}
    idle = [module for module, own in SQLITE_STATEMENTS.items() if not any(re.search(own, sql) for sql in texts[module])]
    assert (unused, idle) == ([], [])


@pytest.mark.parametrize(("rule", "sql"), [(rule, sql) for rule, many in BAD.items() for sql in many])
def test_a_word_of_sqlite_is_refused(rule: str, sql: str) -> None:
    assert IS_SQL.search(sql)
    assert rule in problems(sql)


@pytest.mark.parametrize("sql", GOOD)
def test_a_shared_word_is_allowed(sql: str) -> None:
    assert problems(sql) == []


def test_each_rule_has_an_example() -> None:
    assert BAD.keys() >= REFUSED.keys()


def test_an_empty_list_never_reaches_the_database() -> None:
    assert parameter_marks(3) == "?,?,?"
    with pytest.raises(ValueError, match="must not be empty"):
        parameter_marks(0)


def test_a_text_is_lowered_as_the_database_does_it(catalog: CatalogDatabase) -> None:
    text = "".join(map(chr, range(1, 0x250))) + "ΣİẞÅ"
    with catalog.write() as conn:
        conn.execute("INSERT INTO settings VALUES ('text', ?)", (text,))
    assert lowered(text) == catalog.rows("SELECT lower(value) FROM settings")[0][0] != text.lower()
