"""Repair of covers: a damaged variant is made again from the one that it is always made from, or fetched again."""

from image_cache.covers import NAMESPACE, WARM, ImageCache
from image_cache.covers.states import is_fetched, is_resting, wants_of
from image_cache.engine.cache import is_intact
from image_cache.engine.job import LoadRequest
from image_cache.engine.key import Key
from image_cache.errors import DecoderFailed, ImageRejected, QueueFull
from image_cache.imaging.decoder import Decoder


class CoverRepair:
    """One run, one thread. Raises `StorageError`, `DatabaseError` or what the decoder raises."""

    def __init__(self, covers: ImageCache, decoder: Decoder) -> None:
        self._covers = covers
        self._cache = covers.cache
        self._decoder = decoder

    def repair(self, key: Key, what: str) -> str:
        """Repair an entry; return the outcome."""
        if what == "orphan":
            return self._adopt(key)
        body = self._render_again(key)
        if body is not None:
            self._cache.delete([key])
            self._cache.put({key: body})
            return "rebuilt"
        # A damaged entry is never served, so nothing is lost by deleting it. But as long as there is nothing better it stays: a
        # disk that misread it once may read it well the next time.
        if key.variant.endswith(".jpg"):  # made from the WebP on request
            self._cache.delete([key])
            return "removed"
        if self._fetch_again(key):
            return "queued"
        if what == "missing":
            self._cache.delete([key])
            return "removed"
        return "kept"

    def _render_again(self, key: Key) -> bytes | None:
        """Render the variant from the one that it is always made from, so that it is the same again; None if that is not intact."""
        name, _, suffix = key.variant.partition(".")
        if suffix:
            whole = self._intact(Key(NAMESPACE, name, key.digest))
            return None if whole is None else self._decoder.jpeg(whole)
        variant = self._covers.variants.get(name)
        body = self._intact(Key(NAMESPACE, variant.source, key.digest)) if variant is not None and variant.source else None
        if variant is None or body is None:
            return None
        try:
            return self._decoder.render(body, [variant]).variants[name]
        except (ImageRejected, DecoderFailed):
            return None

    def _intact(self, key: Key) -> bytes | None:
        """Return the bytes of a key if they are what the row says. Reads past the cache, which would drop them if not."""
        found = self._cache.index.find(key)
        if found is None or (self._cache.disk.root / key.path).is_symlink():
            return None
        body = self._cache.disk.get(key)
        return body if body is not None and is_intact(body, found) else None

    def _fetch_again(self, key: Key) -> bool:
        """Enqueue a fetch if the cover can be fetched now. Only then the damaged entry is deleted: the job would find it."""
        image = self._covers.registry.get(key.digest)
        if image is not None and self._covers.shared is not None and is_fetched(image):
            self._cache.delete([key])  # the other nodes have it, whether or not its origin answers
            self._covers.enqueue_digests([key.digest], WARM)
            return True
        if image is None or is_resting(image, self._covers.clock()):
            return False
        if any(lane == image.lane for lane, _, _ in self._covers.jobs.paused_hosts()):
            return False
        try:
            self._covers.jobs.put([LoadRequest(key.digest, image.lane, wants_of(key.variant))], WARM)
        except QueueFull:
            return False
        self._cache.delete([key])
        self._covers.wake()
        return True

    def _adopt(self, key: Key) -> str:
        """Add the row of a file if it is an image of a registered cover; else delete it, as every sweep does."""
        body = self._cache.disk.get(key)
        if body is not None and self._covers.registry.get(key.digest) is not None:
            try:
                self._decoder.render(body, [next(iter(self._covers.variants.values()))])
            except ImageRejected:
                pass
            else:
                self._cache.put({key: body})
                return "adopted"
        self._cache.delete([key])
        return "removed"
