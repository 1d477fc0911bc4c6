"""Repair of covers: a damaged variant is rendered again from a larger one, or fetched again."""

from image_cache.covers import NAMESPACE, WARM, ImageCache
from image_cache.covers.states import is_resting, wants_of
from image_cache.engine.cache import is_intact
from image_cache.engine.jobs import LoadRequest
from image_cache.engine.key import Key
from image_cache.errors import DecoderFailed, ImageRejected, QueueFull
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Variant


class CoverRepair:
    """One run, one thread. Raises `StorageError`, `DatabaseError` or what the decoder raises."""

    def __init__(self, covers: ImageCache, decoder: Decoder) -> None:
        self._covers = covers
        self._cache = covers.cache
        self._decoder = decoder

    def repair(self, key: Key, what: str) -> str:
        """Return what became of it."""
        if what == "orphan":
            return self._adopt(key)
        body = self._again(key)
        if body is not None:
            self._cache.delete([key])
            self._cache.put({key: body})
            return "rebuilt"
        # Nobody has ever been shown what is missing or not what was stored, so nothing is lost with it. But as long as nothing
        # better is to be had, it is left: a disk that lies once may not lie twice.
        if key.variant.endswith(".jpg"):  # made from the picture beside it, when a browser asks
            self._cache.delete([key])
            return "removed"
        if self._fetch_again(key):
            return "queued"
        if what == "missing":
            self._cache.delete([key])
            return "removed"
        return "kept"

    def _again(self, key: Key) -> bytes | None:
        """Make the variant from what is stored of the same picture; None when there is nothing larger that is whole."""
        name, _, suffix = key.variant.partition(".")
        if suffix:
            whole = self._whole(Key(NAMESPACE, name, key.digest))
            return None if whole is None else self._decoder.jpeg(whole)
        variant = self._covers.variants.get(name)
        if variant is None:
            return None
        for larger in self._larger(variant):
            body = self._whole(Key(NAMESPACE, larger.name, key.digest))
            if body is not None:
                try:
                    return self._decoder.render(body, [variant]).variants[name]
                except (ImageRejected, DecoderFailed):
                    continue
        return None

    def _larger(self, variant: Variant) -> list[Variant]:
        larger = [other for other in self._covers.variants.values() if other.edge_px > variant.edge_px]
        return sorted(larger, key=lambda other: other.edge_px)

    def _whole(self, key: Key) -> bytes | None:
        """Return what is stored under a key if it is what its row says. Read past the cache, which would drop it if not."""
        found = self._cache.index.find(key)
        if found is None or (self._cache.disk.root / key.path).is_symlink():
            return None
        body = self._cache.disk.get(key)
        return body if body is not None and is_intact(body, found) else None

    def _fetch_again(self, key: Key) -> bool:
        """Leave a job, behind all others, if the picture can be fetched; only then the bad one goes, or the job would find it."""
        image = self._covers.registry.get(key.digest)
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
        """Give a file its row if it is a picture that is still wanted; else it goes, as with every sweep."""
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
