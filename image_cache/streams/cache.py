"""`StreamImageCache`: variants of stream images in memory, by the pages that show them, and on disk.

What is rendered is stored once. A page is a scope: it holds references, has its own figures and may have its own budget;
clearing it takes nothing from another page. What a page caches itself is its own: one id on two pages are two entries.
Knows no policy: callers have checked that the viewer may see the image.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from image_cache.config import Settings, load_settings
from image_cache.db.database import DatabaseError
from image_cache.engine import maintenance
from image_cache.engine.cache import Cache, Loader
from image_cache.engine.disk import DiskTier
from image_cache.engine.index import Index
from image_cache.engine.key import Key, digest_of
from image_cache.engine.memory import MemoryTier
from image_cache.engine.stats.counters import Counters
from image_cache.errors import StorageError
from image_cache.filesystem import make_folder
from image_cache.streams.upload.validation import checked_page
from image_cache.units import MEGABYTE

logger = logging.getLogger(__name__)

NAMESPACE = "streams"
THUMB = "stream_thumb"
PAGE_FOLDER = "page_"  # with the name of the page: the folder of what it cached itself
REFILL = "refill"  # in `meta`: 1 while variants are to be rendered that no one requested
MAX_LOADED_AT = 16384


class StreamImageCache:
    """Images by id, held for pages. Thread-safe and process-safe. What is left out, or None, is as set.

    The memory tier never exceeds its budget; at 90% of it at least a fifth is evicted, the least recently used first. After
    `ttl_hours` an entry in memory is read from disk again. Entries on disk stay, within `disk_budget_bytes`.
    """

    def __init__(
        self,
        cache_dir: Path | None = None,
        max_memory_mb: float | None = None,
        ttl_hours: float | None = None,
        *,
        page_budgets: Mapping[str, int] | None = None,
        settings: Settings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings = settings or load_settings()
        memory_bytes = settings.stream_memory_bytes if max_memory_mb is None else int(max_memory_mb * MEGABYTE)
        self.cache_dir = Path(cache_dir or settings.stream_cache_dir)
        self.ttl_hours = settings.IMAGE_CACHE_TTL_HOURS if ttl_hours is None else ttl_hours
        self._clock = clock
        try:
            make_folder(self.cache_dir)
        except OSError as error:
            logger.warning("stream cache unusable, using memory only path=%s reason=%s", self.cache_dir, error)
        self.engine = Cache(
            NAMESPACE,
            memory=MemoryTier(memory_bytes),
            disk=DiskTier(NAMESPACE, self.cache_dir, settings.floor_bytes),
            index=Index(self.cache_dir / "index.db", clock=clock),
            counters=Counters(),
            budget_bytes=int(settings.STREAM_CACHE_SIZE_MB * MEGABYTE),
            clock=clock,
        )
        for page, budget_bytes in (settings.page_budgets if page_budgets is None else page_budgets).items():
            self.engine.memory.set_scope_budget(checked_page(page), budget_bytes)
        self._lock = threading.Lock()  # protects _since
        self._loaded_at: dict[Key, float] = {}  # when an entry was put into memory; a hint only

    @staticmethod
    def key(image_id: str, variant: str = THUMB) -> Key:
        """Return the key of a variant. It is in no URL: those have the random id of the image."""
        return Key(NAMESPACE, variant, digest_of(NAMESPACE, image_id))

    @staticmethod
    def page_key(image_id: str, page: str) -> Key:
        """Return the key of what a page cached under this id. Raises `FieldRejected` for the name of a page."""
        return Key(NAMESPACE, f"{PAGE_FOLDER}{checked_page(page)}", digest_of(NAMESPACE, image_id))

    def keys_of(self, image_id: str, variants: Iterable[str]) -> list[Key]:
        """Return the keys of these variants, and of what any page may have cached under the id."""
        own = (path.name for path in self.cache_dir.glob(f"{PAGE_FOLDER}*"))
        return [self.key(image_id, variant) for variant in (*variants, *own)]

    def prepare(self, recipe: str) -> None:
        """Rebuild a lost index, and clear the cache if another recipe rendered it. A disk that refuses costs the cache, nothing else.

        A key has no recipe, so that deleting an image finds all of its variants.
        """
        try:
            self.repair()
            self._set_recipe(recipe)
        except (StorageError, DatabaseError, OSError) as error:
            logger.warning("stream housekeeping incomplete reason=%s", error)

    def _set_recipe(self, recipe: str) -> None:
        path = self.cache_dir / "recipe"
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == recipe:
                return
        maintenance.clear(self.engine)
        self.start_refill()  # first: a crash in between clears once more
        path.write_text(recipe, encoding="utf-8")

    def needs_refill(self) -> bool:
        """Return True if variants are to be rendered that no one requested: after a restore, another recipe, or a lost folder."""
        return bool(self.engine.index.meta(REFILL))

    def start_refill(self) -> None:
        """Ask for it. Raises `DatabaseError`."""
        self._set_refill(1)

    def end_refill(self) -> None:
        self._set_refill(0)

    def _set_refill(self, value: int) -> None:
        with self.engine.index.database.write() as conn:
            self.engine.index.set_meta(conn, REFILL, value)

    def cache_image(self, image_id: str, image_data: bytes, page: str) -> bool:
        """Cache the bytes of an image for a page, in memory and on disk; return False if neither takes them.

        They are of this page alone: another page may have other bytes under the same id.
        """
        return self.put(self.page_key(image_id, page), image_data, page)

    def get_image(self, image_id: str, page: str) -> bytes | None:
        """Return what the page cached under this id, else the thumbnail of an uploaded image, held for the page; None on a miss."""
        found = self.get(self.page_key(image_id, page), page)
        return self.get(self.key(image_id), page) if found is None else found

    def put(self, key: Key, body: bytes, page: str = "") -> bool:
        scope = checked_page(page) if page else ""
        try:
            self.engine.put({key: body})
            is_stored = True
        except (StorageError, DatabaseError) as error:
            logger.warning("not stored key=%s reason=%s", key.path, error)
            is_stored = False
        return self._put_in_memory(key, body, scope) or is_stored

    def get(self, key: Key, page: str = "") -> bytes | None:
        """Return the bytes, None on a miss. An entry that has been in memory for the TTL is read from disk again."""
        scope = checked_page(page) if page else ""
        self._expire(key)
        is_new = key not in self._loaded_at
        body = self.engine.get(key, scope)
        if body is not None and is_new:
            self._note_loaded(key)
        return body

    def get_or_load(self, key: Key, loader: Loader, page: str = "") -> bytes | None:
        """Like `get`, and load a miss, once for all concurrent callers. Raises what the loader raises; that counts as a failure."""
        scope = checked_page(page) if page else ""
        self._expire(key)
        body = self.engine.get_or_load(key, lambda: self._counted(loader), scope)
        if body is not None:
            self._note_loaded(key)
        return body

    def _counted(self, loader: Loader) -> Mapping[Key, bytes]:
        bodies: Mapping[Key, bytes] = {}
        try:
            bodies = loader()
        finally:
            if not bodies:
                self.engine.counters.add("failures")
        return bodies

    def delete(self, keys: list[Key]) -> None:
        """Remove entries from memory and disk. Raises `StorageError` if a file cannot be removed."""
        with self._lock:
            for key in keys:
                self._loaded_at.pop(key, None)
        try:
            self.engine.delete(keys)
        except DatabaseError as error:  # the files are gone; rows without a file are misses
            logger.warning("rows not removed reason=%s", error)

    def clear(self) -> None:
        """Remove every entry from memory and disk. Raises `StorageError` or `DatabaseError`."""
        with self._lock:
            self._loaded_at.clear()
        maintenance.clear(self.engine)

    def clear_page_cache(self, page: str) -> int:
        """Drop what a page holds in memory and return how many images no other page held."""
        return self.engine.memory.clear_scope(checked_page(page))

    def get_cache_stats(self) -> dict[str, float | int | str]:
        """Return the figures of the memory tier."""
        stats = self.engine.memory.stats()
        return {
            "memory_used_mb": round(stats.used_bytes / MEGABYTE, 3),
            "memory_max_mb": round(stats.budget_bytes / MEGABYTE, 3),
            "cached_items": stats.entries,
            "ttl_hours": self.ttl_hours,
            "cache_dir": self.cache_dir.name,
        }

    def get_page_stats(self, page: str) -> dict[str, float | int | str]:
        """Return what one page holds of the memory tier."""
        items, size = self.engine.memory.scope_stats(checked_page(page))
        return {**self.get_cache_stats(), "page": page, "page_items": items, "page_used_mb": round(size / MEGABYTE, 3)}

    def pages(self) -> list[str]:
        return self.engine.memory.scopes()

    def repair(self) -> None:
        """Rebuild the index if it is new or was lost."""
        self.engine.index.database.drop_if_replaced()
        if self.engine.is_adopting:
            maintenance.rebuild_from_files(self.engine)

    def close(self) -> None:
        try:
            self.engine.flush()
        except DatabaseError as error:
            logger.warning("recency lost reason=%s", error)
        self.engine.index.close()

    def _expire(self, key: Key) -> None:
        since = self._loaded_at.get(key)
        # A negative age is a clock that was set back, and expires nothing.
        if since is not None and self._clock() - since > self.ttl_hours * 3600:
            with self._lock:
                self._loaded_at.pop(key, None)
            self.engine.memory.delete(key)

    def _put_in_memory(self, key: Key, body: bytes, scope: str) -> bool:
        is_kept = self.engine.memory.put(key, body, scope)
        if is_kept:
            with self._lock:
                self._loaded_at[key] = self._clock()
        return is_kept

    def _note_loaded(self, key: Key) -> None:
        with self._lock:
            if len(self._loaded_at) > MAX_LOADED_AT:
                self._loaded_at.clear()
            self._loaded_at.setdefault(key, self._clock())
