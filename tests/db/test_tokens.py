"""Full-text search in PostgreSQL finds what FTS5 finds: the same texts and questions in both."""

import random
import sqlite3
from collections.abc import Iterator

import pytest

from image_cache.db.catalog_schema import SEARCH, STREAMS
from image_cache.db.postgres.tokens import MAX_TOKEN_BYTES, TOKENIZER, Tokenizer
from image_cache.records.search.question import read_question
from image_cache.streams.table import search_terms
from tests.support.catalogs import SchemaPool

WORDS = [
    "AC/DC",
    "R.E.M.",
    "O'Connor",
    "Łódź",
    "łodz",
    "Ärger",
    "été",
    "Æon",
    '7"',
    "12inch",
    "a-b",
    "foo.bar/baz",
    "a@b.c",
    "ﬁn",
    "ß",
    "Straße",
    "Björk",
    "doctor",
    "dr",
    "two",
    "2",
    "ii",
    "ii.",
    "東京",
    "テクノ",
    "ครับ",
    "naïve",
    "café",
    "CAFE",
    "x_y",
    "1959",
    "BLP-1595",
    "blp",
    "1595",
    "Σίσυφος",
    "don't",
    "!!!",
    "+/-",
    "the",
    "The",
    "and",
    "&",
    "½",
    "x²",
    "İstanbul",
    "é",
]
COLUMNS = ("names", "facts", "tracks", "notes")


@pytest.fixture(scope="module")
def texts() -> list[list[str]]:
    rng = random.Random(5)
    return [[" ".join(rng.choices(WORDS, k=rng.randrange(6))) for _ in COLUMNS] for _ in range(400)]


@pytest.fixture(scope="module")
def fts5(texts: list[list[str]]) -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:")
    conn.execute(f"CREATE VIRTUAL TABLE words USING fts5({', '.join(COLUMNS)}, content='', tokenize='{TOKENIZER}')")
    conn.executemany(
        "INSERT INTO words (rowid, names, facts, tracks, notes) VALUES (?, ?, ?, ?, ?)",
        [(n, *row) for n, row in enumerate(texts)],
    )
    yield conn
    conn.close()


def expressions() -> list[str]:
    rng = random.Random(6)
    found = []
    for _ in range(150):
        question = read_question(" ".join(rng.choices(WORDS, k=rng.randrange(1, 4))))
        if question.words:
            chosen = " ".join(rng.sample(COLUMNS, rng.randrange(1, 5)))
            wanted = (question.terms(begins=False), question.terms(begins=True), question.phrase())
            found += [f"{{{chosen}}} : ({one})" for one in wanted]
        found.append(search_terms(" ".join(rng.choices(WORDS, k=2))))
    return [one for one in found if one]


@pytest.mark.postgres
@pytest.mark.server
def test_every_question_finds_the_same_texts(schema_pool: SchemaPool, texts: list[list[str]], fts5: sqlite3.Connection) -> None:
    import psycopg

    tokenizer = Tokenizer()
    asked = expressions()
    with psycopg.connect(schema_pool.dsn) as conn:
        conn.execute("CREATE TEMP TABLE words (rowid bigint, tokens tsvector)")
        conn.cursor().executemany(
            "INSERT INTO words VALUES (%s, %s)", [(n, tokenizer.vector(row)) for n, row in enumerate(texts)]
        )
        hits = 0
        for expression in asked:
            ours = [row[0] for row in fts5.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (expression,))]
            question = tokenizer.question(expression)
            theirs = [
                row[0]
                for row in conn.execute("SELECT rowid FROM words WHERE tokens @@ CAST(%s AS tsquery) ORDER BY rowid", (question,))
            ]
            assert theirs == ours, (expression, question)
            hits += len(ours)
    assert len(asked) > 400
    assert hits > 5000


@pytest.mark.postgres
@pytest.mark.server
def test_long_words_and_long_texts_are_stored(schema_pool: SchemaPool) -> None:
    import psycopg

    rng = random.Random(7)
    long = ["".join(rng.choices("abcdefghijklmnop", k=9)) for _ in range(120_000)]
    tokenizer = Tokenizer()
    with psycopg.connect(schema_pool.dsn) as conn:
        for text in ("é" * 5000, " ".join(long), "one " * 70_000):
            conn.execute("SELECT CAST(%s AS tsvector)", (tokenizer.vector((text,)),))
        question = tokenizer.question(f'"{"é" * 5000}" *')
        row = conn.execute(
            "SELECT CAST(%s AS tsvector) @@ CAST(%s AS tsquery)", (tokenizer.vector(("é" * 5000,)), question)
        ).fetchone()
        assert row == (True,)
    assert len(tokenizer.vector(("é" * 5000,)).encode()) < MAX_TOKEN_BYTES + 20


def test_the_tokenizer_is_that_of_the_schema() -> None:
    for script in (SEARCH, STREAMS):
        assert f"tokenize='{TOKENIZER}'" in script


@pytest.mark.parametrize("expression", ['"a', '("a"', '"a" OR', "a", '{names} "a"', '"a" )'])
def test_what_is_no_question_is_an_error(expression: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|open"):
        Tokenizer().question(expression)
