"""Stream images: what was rendered of them, and the originals, which are precious: those are compared and told, never touched."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from image_cache.covers import NAMESPACE, WARM, ImageCache
from image_cache.covers.states import is_resting, wants_of
from image_cache.engine.cache import is_intact
from image_cache.engine.jobs import LoadRequest
from image_cache.engine.key import Key
from image_cache.errors import DecoderFailed, ImageRejected, QueueFull
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Variant
from image_cache.maintenance.scrub.report import ScrubPass
from image_cache.storage.base import Storage
from image_cache.storage.local import LocalStorage
from image_cache.streams import StreamImageManager
from image_cache.streams.original_table import OriginalTable, StoredOriginal

READ_BYTES = 1 << 20
# An own cover is named by what it is.
_NAMED = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]{1,5})?")


class OriginalRepair:
    """One run, one thread."""

    def __init__(self, streams: StreamImageManager) -> None:
        self._images = streams.rows
        self._rows = OriginalTable(streams.rows.db)
        self._pictures = streams.images

    def repair(self, key: Key, what: str) -> str:
        """Render an entry anew from its original. One of an image that is gone goes; one whose original is bad is all there is."""
        original = next((o for o in self._rows.originals() if self._pictures.cache.key(o.image_id, key.variant) == key), None)
        if original is None:
            self._pictures.cache.delete([key])
            return "removed"
        if what == "orphan":  # it has no row, so nobody is shown it
            self._pictures.cache.delete([key])
            return "removed"
        found = self._images.image(original.image_id)
        if found is None or _wrong(self._pictures.storage, original, lambda: None):
            return "kept"
        self._pictures.cache.delete([key])
        return "removed" if self._pictures.body(found[1], key.variant) is None else "rebuilt"

    def check_shard(self, walk: ScrubPass, shard: str) -> None:
        """Compare the originals whose ids begin with the two characters. Of those in a bucket only the names and sizes."""
        storage = self._pictures.storage
        if not isinstance(storage, LocalStorage):
            if shard == "00":
                self._check_names(walk)
            return
        if shard == "00":
            for name, _ in storage.list():
                is_ours = not any(part.startswith(".") for part in name.split("/"))  # else a restore put it aside
                if is_ours and not self._rows.is_known(name) and storage.exists(name):
                    walk.damaged("originals", name, "orphan")
        for original in self._rows.originals(shard, f"{shard}g"):
            walk.rest()
            walk.saw("originals", original.size_bytes)
            what = _wrong(storage, original, walk.rest)
            if what and self._images.image(original.image_id) is not None:  # else it was deleted a moment ago
                walk.damaged("originals", original.file_path, what)

    def _check_names(self, walk: ScrubPass) -> None:
        sizes = dict(self._pictures.storage.list())
        for original in self._rows.originals():
            walk.rest()
            walk.saw("originals", 0)
            size = sizes.get(original.file_path)
            if size != original.size_bytes and self._images.image(original.image_id) is not None:
                walk.damaged("originals", original.file_path, "missing" if size is None else "torn")


def check_named(walk: ScrubPass, where: str, folder: Path, shard: str) -> None:
    """Compare files that are named by their SHA-256, those whose names begin with the two characters. Only told as well."""
    for path in sorted(folder.rglob(f"{shard}*")) if folder.is_dir() else ():
        name = _NAMED.fullmatch(path.name)
        if name is None or path.is_symlink() or not path.is_file():
            continue
        walk.rest()
        try:
            size = path.stat().st_size
            is_same = _sha256(path, walk.rest) == name[1]
        except FileNotFoundError:
            continue
        except OSError:
            walk.damaged(where, str(path.relative_to(folder)), "unreadable")
            continue
        walk.saw(where, size)
        if not is_same:
            walk.damaged(where, str(path.relative_to(folder)), "altered")


def _wrong(storage: Storage, original: StoredOriginal, step: Callable[[], object]) -> str:
    """Return what is wrong with an original, "" for nothing. Raises `StorageError` when a bucket does not answer."""
    try:
        if isinstance(storage, LocalStorage):
            path = storage.root / original.file_path
            if path.is_symlink():
                return "link"
            found = bytes.fromhex(_sha256(path, step)) if path.stat().st_size == original.size_bytes else b""
        else:
            body = storage.get(original.file_path)
            if body is None:
                return "missing"
            found = hashlib.sha256(body).digest()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
    if found == original.sha256:
        return ""
    return "altered" if found else "torn"


def _sha256(path: Path, step: Callable[[], object]) -> str:
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(READ_BYTES))
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            sha256.update(buffer[:count])
            step()
    return sha256.hexdigest()


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
