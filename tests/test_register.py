"""The register: what is known of images, and totals that are kept instead of counted."""

import random
import sqlite3
from dataclasses import replace
from pathlib import Path

from image_cache.database import Database
from image_cache.engine.key import digest_of
from image_cache.engine.register import Image, Register
from image_cache.engine.schema import MIGRATIONS


def image(number: int) -> Image:
    url = f"https://covers.example/{number}.jpg"
    return Image(digest_of("covers", url), "covers", url, url, "covers.example")


def counted(database: Database) -> tuple[int, int, int]:
    row = database.row("SELECT count(*), count(fetched_at), coalesce(sum(is_final), 0) FROM images")
    assert row is not None
    return row[0], row[1], row[2]


def test_the_summary_is_what_counting_would_give(tmp_path: Path) -> None:
    register = Register(Database(tmp_path / "index.db", MIGRATIONS, synchronous="NORMAL"))
    chance = random.Random(7)
    assert register.summary("covers") == (0, 0, 0)
    for turn in range(400):
        chosen = image(chance.randrange(40))
        with register.database.write() as conn:
            what = chance.randrange(5)
            if what <= 1:
                register.add(conn, [chosen])
            elif what == 2:
                register.fetched(conn, replace(chosen, fetched_at=float(turn)))
            elif what == 3:
                register.failed(conn, chosen.digest, "no", 1.0, is_final=chance.random() < 0.5)
            elif chance.random() < 0.03:
                register.clear(conn, "covers")
        assert register.summary("covers") == counted(register.database)
    register.database.close()


def test_an_index_of_the_first_version_gets_its_totals_when_it_is_opened(tmp_path: Path) -> None:
    old = Register(Database(tmp_path / "index.db", MIGRATIONS[:1], synchronous="NORMAL"))
    with old.database.write() as conn:
        old.add(conn, [image(n) for n in range(5)])
        old.fetched(conn, replace(image(1), fetched_at=1.0))
        old.failed(conn, image(2).digest, "no", 1.0, is_final=True)
    old.database.close()
    new = Register(Database(tmp_path / "index.db", MIGRATIONS, synchronous="NORMAL"))
    assert new.summary("covers") == (5, 1, 1)
    new.database.close()
    with sqlite3.connect(tmp_path / "index.db") as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    conn.close()
