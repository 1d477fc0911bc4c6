"""What all nodes must have in common: one key, one store for originals. Compared before a node starts, and before it is ready.

The catalogue has a fingerprint of each, not the thing itself. Those of the nodes that run count: a node alone may change its key.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path

from image_cache.cluster.clock import NOW
from image_cache.cluster.nodes import SILENT_S, NodeTable
from image_cache.config import Settings
from image_cache.db.database import Connection, Database
from image_cache.errors import ConfigError

logger = logging.getLogger(__name__)

MAX_APART_S = 5.0  # clocks; beyond that pauses and expiries of one node look wrong on another
# Name of the fingerprint -> the setting that is to blame when it differs, and what to say then.
DIFFERS = {
    "store": ("VINYL_VAULT_S3_BUCKET", "the other nodes keep original images elsewhere; use the same storage, bucket and prefix"),
    "key": ("VINYL_VAULT_SECRET_KEY_FILE", "this is not the key of the other nodes; copy their file"),
    # They decide the names of all covers: nodes that differ would take them from each other, and fetch them again and again.
    "covers": (
        "VINYL_VAULT_DETAIL_SIZE",
        "the other nodes render covers differently; use the same THUMBNAIL_SIZE, DETAIL_SIZE, IMAGE_QUALITY and RECIPE",
    ),
}


def fingerprints(settings: Settings, key: bytes) -> dict[str, int]:
    """Return what has to be equal on all nodes, as whole numbers that give nothing away."""
    place = (settings.STORAGE, settings.S3_BUCKET, settings.S3_PREFIX.strip("/")) if settings.STORAGE == "s3" else ("local", key)
    covers = (settings.THUMBNAIL_SIZE, settings.DETAIL_SIZE, settings.IMAGE_QUALITY, settings.RECIPE)
    return {
        "covers": _number(repr(covers).encode()),
        "store": _number(repr(place).encode()),
        "key": _number(hmac.digest(key, b"node key", "sha256")),
    }


def check_settings(settings: Settings) -> None:
    """Raise `ConfigError` if these settings are not enough for more than one node."""
    if settings.STORAGE == "local":
        problem = "several nodes need one store for original images; set it to s3, and the bucket in VINYL_VAULT_S3_BUCKET"
        raise ConfigError("VINYL_VAULT_STORAGE", problem)
    if settings.SECRET_KEY_FILE is None:
        problem = "several nodes need the same key; copy the file to each node and name it here"
        raise ConfigError("VINYL_VAULT_SECRET_KEY_FILE", problem)


class Agreement:
    """What this node and the others say about themselves. Any thread."""

    def __init__(
        self, catalog: Database, settings: Settings, key: bytes, node: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._db = catalog
        self._clock = clock
        self._settings = settings
        self._ours = fingerprints(settings, key)
        self._node = node

    def check(self) -> None:
        """Raise `ConfigError` if this node cannot work beside those that run, `DatabaseError` if they cannot be asked. Writes nothing."""
        others = self._others()
        if others or self._settings.NODE:
            check_settings(self._settings)
        if others:
            self._compare(self._known())

    def join(self) -> None:
        """Write down what this node has, unless others run that have something else. Raises `ConfigError` or `DatabaseError`."""
        self._compare_clocks()
        with self._db.write() as conn:
            self.check()
            self._write(conn)

    def _write(self, conn: Connection) -> None:
        conn.executemany(
            "INSERT INTO cluster VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", list(self._ours.items())
        )

    def _others(self) -> list[str]:
        has_nodes = "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'cluster'"
        if self._db.row(has_nodes) is None:  # a schema of 0.2.0, which no other node uses
            return []
        return [node.name for node in NodeTable(self._db).all() if node.name != self._node and node.silent_s < SILENT_S]

    def _known(self) -> dict[str, int]:
        return {str(row[0]): int(row[1]) for row in self._db.rows("SELECT name, value FROM cluster")}

    def _compare(self, known: dict[str, int]) -> None:
        for name, (setting, problem) in DIFFERS.items():
            if known.get(name, self._ours[name]) != self._ours[name]:
                raise ConfigError(setting, problem)

    def _compare_clocks(self) -> None:
        began = self._clock()
        row = self._db.row(f"SELECT {NOW}")
        ended = self._clock()
        apart_s = float(row[0]) - ended if row else 0.0
        if abs(apart_s) - (ended - began) > MAX_APART_S:
            logger.warning(
                "clock differs from that of PostgreSQL seconds=%.0f hint=synchronise the clocks (chrony, NTP)", apart_s
            )


def _number(text: bytes) -> int:
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def known_name(settings: Settings) -> str:
    """Return the name of this node if it has one already. Writes nothing."""
    try:
        return settings.NODE or Path(settings.cache_dir, "node").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
