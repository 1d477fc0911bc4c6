"""Rendered covers on many nodes: taken from the second tier, published to it, and stored there later if it was away."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from image_cache.cluster.second_tier.stored_table import FetchedImage, StoredTable
from image_cache.cluster.second_tier.tier import SecondTier
from image_cache.db.database import Connection, Database, DatabaseError
from image_cache.engine.cache import Cache
from image_cache.engine.key import Key
from image_cache.engine.meta import write_meta
from image_cache.engine.registry import ImageRecord
from image_cache.errors import StorageError
from image_cache.imaging.variants import Variant

logger = logging.getLogger(__name__)

AT_A_TIME = 50  # images that a run stores, so that the thread has time for its other jobs
FORGOTTEN = "tier_forgotten:"  # before the hash of a body, in the `meta` of this node's index
SCANNED = 500  # rows that a run looks at: most of them may be on other nodes only


class SharedVariants:
    """The variants of the covers of all nodes. Any thread.

    `tier` is None if rendered covers are not shared; `base` names the variants that each fetch renders, `holder` this process.
    """

    def __init__(
        self,
        cache: Cache,
        register: Database,
        tier: SecondTier | None,
        *,
        variants: Mapping[str, Variant],
        base: Collection[str],
        clock: Callable[[], float],
        holder: str,
    ) -> None:
        self._cache = cache
        self._register = register
        self._tier = tier
        self._variants = variants
        self._base = frozenset(base)
        self._clock = clock
        self._holder = holder
        self._stored = StoredTable(register)
        self._after = ""  # the digest at which the last run of `store_later` ended

    @property
    def has_tier(self) -> bool:
        return self._tier is not None

    def is_away(self) -> bool:
        """Return True while the second tier is not asked, because it did not answer a moment ago."""
        return self._tier is not None and self._tier.is_away()

    def take(self, image: ImageRecord, stored: Collection[str], wants: Collection[str]) -> set[str]:
        """Get what is missing from the second tier; return what is stored on this node then. Waits a few seconds at most."""
        try:
            found = self.get(image, stored, wants)
        except StorageError:
            found = {}
        if found and self.keep(found):
            return {*stored, *(key.variant for key in found)}
        return set(stored)

    def missing(self, stored: Collection[str], wants: Collection[str]) -> list[str]:
        """Return the variants that a node which has the stored ones still needs."""
        return [name for name in self._variants if (name in self._base or name in wants) and name not in stored]

    def get(self, image: ImageRecord, stored: Collection[str], wants: Collection[str]) -> dict[Key, bytes]:
        """Return what is missing and the second tier has. Raises `StorageError` if it is away.

        A variant that is made from another one is derived here, unless each fetch renders it.
        """
        body = image.body_sha256
        if self._tier is None or body is None or image.fetched_at is None:
            return {}
        keys = [self._key(image.digest, name) for name in self.missing(stored, wants) if self._is_shared(name)]
        found = {key: self._tier.get(body, key) for key in keys}
        self._cache.counters.add("tier_hits", sum(one is not None for one in found.values()))
        return {key: one for key, one in found.items() if one is not None}

    def publish(self, image: ImageRecord, bodies: Mapping[Key, bytes], record: Callable[[Connection], None]) -> None:
        """Store variants that were rendered from the body of `image`: in the second tier, as a row, on this disk, in this order.

        The row decides. A holder that slept may have fetched other bytes than the one who took its job over: `record` raises, and
        none of its files stay here under a name that means other bytes. Raises what `record` raises.
        """
        body = image.body_sha256
        objects = {key: webp for key, webp in bodies.items() if self._is_shared(key.variant)}
        is_stored = self._tier is not None and body is not None and self._tier.put(body, objects)
        has_base = self._base.issubset(key.variant for key in bodies)
        with self._register.write() as conn:
            record(conn)
            is_known = self._stored.is_registered(conn, image.digest)
            if has_base or not is_stored:  # a further variant says nothing about the others
                at, keeper = (self._clock(), None) if is_stored else (None, self._holder)
                self._stored.record(conn, image.digest, at, keeper)
        if is_known:
            self.keep(bodies)
        elif body is not None:
            self.forget([body])

    def keep(self, bodies: Mapping[Key, bytes]) -> bool:
        """Store variants on this disk; return False if it takes no more, which concerns this node alone: it asks again."""
        try:
            self._cache.put(bodies)
        except (StorageError, DatabaseError) as error:
            logger.warning("cover not stored on this node reason=%s", error)
            return False
        return True

    def is_stored(self, digest: str) -> bool:
        return self._tier is not None and self._stored.is_stored(digest)

    def keeper_of(self, digest: str) -> str | None:
        """Return the process whose node alone has an image, None if the store has it."""
        return self._stored.keeper_of(digest)

    def keepers(self) -> list[str]:
        """Return all processes whose nodes have what the store does not have."""
        return self._stored.keepers()

    def report_lost(self, image: ImageRecord) -> None:
        """Record that the second tier has lost variants of an image, so that a node that has them stores them again."""
        if image.body_sha256 is not None:
            logger.warning("cover missing in the second tier identity=%s", image.identity)
            self._stored.unmark(FetchedImage(image.digest, image.body_sha256))

    def forget(self, bodies: Iterable[bytes]) -> None:
        """Delete from the store what was rendered of these bodies, by their SHA-256, and is of no image in the register.

        A store that does not answer is asked by `delete_later`, however long that takes. Raises `DatabaseError`.
        """
        if self._tier is None:
            return
        now = int(self._clock())
        with self._cache.index.database.write() as conn:
            for body in bodies:
                write_meta(conn, f"{FORGOTTEN}{body.hex()}", now)
        self.delete_later()

    def delete_later(self) -> None:
        """Delete what was forgotten and may still be in the store. Raises `DatabaseError`."""
        if self._tier is None or self._tier.is_away():
            return
        sql = "SELECT name FROM meta WHERE substr(name, 1, ?) = ?"
        names = [str(row[0]) for row in self._cache.index.database.rows(sql, (len(FORGOTTEN), FORGOTTEN))]
        for name in names:
            body = bytes.fromhex(name.removeprefix(FORGOTTEN))
            try:
                for found in self._tier.objects_of(body):
                    if self._stored.body_of(found.digest) != body:
                        self._tier.delete(found.name)
            except StorageError as error:
                logger.warning("rendered cover not deleted in the store reason=%s", error.reason)
                return
            with self._cache.index.database.write() as conn:
                conn.execute("DELETE FROM meta WHERE name = ?", (name,))

    def store_later(self) -> int:
        """Store what this node has and the second tier has not; return how many images. For one thread."""
        if self._tier is None or self._tier.is_away():
            return 0
        found = self._stored.unstored(self._cache.namespace, self._after, SCANNED)
        self._after = found[-1].digest if len(found) == SCANNED else ""
        here = self._cache.index.variants_of([image.digest for image in found]) if found else {}
        done: list[FetchedImage] = []
        for image in found:
            names = here.get(image.digest, set())
            if not names.issuperset(self._base):
                continue
            if len(done) == AT_A_TIME:
                self._after = done[-1].digest
                break
            keys = [self._key(image.digest, name) for name in names if self._is_shared(name)]
            bodies = {key: body for key in keys if (body := self._cache.read(key)) is not None}
            if len(bodies) == len(keys):
                if self._tier.put(image.body_sha256, bodies):
                    done.append(image)
                elif self._tier.is_away():
                    break
        if done:
            self._stored.mark(done, self._clock())
            logger.info("covers stored in the second tier images=%s", len(done))
        return len(done)

    def _is_shared(self, name: str) -> bool:
        """Return True for what is in the second tier: what is rendered from an original, and what each fetch renders."""
        return name in self._base or (name in self._variants and not self._variants[name].source)

    def _key(self, digest: str, name: str) -> Key:
        return Key(self._cache.namespace, name, digest)
