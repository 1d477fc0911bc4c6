"""Stream images: variants are rendered again, originals and own covers are precious: compared and reported, never changed.

A file among the originals that no row names is only moved out of the way, and only when an operator wants that.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from image_cache.engine.key import Key
from image_cache.errors import DecoderFailed
from image_cache.maintenance.scrub.checker import ScrubPass
from image_cache.storage.base import Storage
from image_cache.storage.local import LocalStorage
from image_cache.streams import StreamImageManager
from image_cache.streams.original_table import OriginalTable, StoredOriginal

READ_BYTES = 1 << 20
# The name of an own cover is its SHA-256.
_NAMED = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]{1,5})?")


class StreamImageScrub:
    """One run, one thread."""

    def __init__(self, streams: StreamImageManager) -> None:
        self._streams = streams.rows
        self._rows = OriginalTable(streams.rows.db)
        self._images = streams.images

    def repair(self, key: Key, what: str) -> str:
        """Render a variant again from its original. Remove it if the image was deleted; leave it if the original is damaged."""
        original = next((o for o in self._rows.originals() if self._images.cache.key(o.image_id, key.variant) == key), None)
        # What a page cached itself cannot be rendered; an orphan is never served.
        if original is None or key.variant not in self._images.variants or what == "orphan":
            self._images.cache.delete([key])
            return "removed"
        found = self._streams.image(original.image_id)
        if found is None or _damage_of(self._images.storage, original, lambda: None):
            return "kept"
        self._images.cache.delete([key])
        try:
            return "removed" if self._images.body(found[1], key.variant) is None else "rebuilt"
        except DecoderFailed:  # late or killed: the damaged variant is gone, and a look at the image renders it
            return "removed"

    def check_shard(self, scrub: ScrubPass, shard: str) -> None:
        """Compare the originals whose ids begin with the two characters. In a bucket only names and sizes are compared."""
        storage = self._images.storage
        if not isinstance(storage, LocalStorage):
            if shard == "00":
                self._check_names(scrub)
            return
        if shard == "00":
            for name, _ in storage.list():
                is_ours = not any(part.startswith(".") for part in name.split("/"))  # hidden ones were put aside by a restore
                if is_ours and not self._rows.is_known(name) and storage.exists(name):
                    scrub.record("originals", name, "orphan", scrub.setting_aside(storage.root, storage.root / name))
        for original in self._rows.originals(shard, f"{shard}g"):
            scrub.report_and_throttle()
            scrub.count("originals", original.size_bytes)
            what = _damage_of(storage, original, scrub.report_and_throttle)
            if what and self._streams.image(original.image_id) is not None:  # else it was deleted meanwhile
                scrub.record("originals", original.file_path, what)

    def _check_names(self, scrub: ScrubPass) -> None:
        sizes = dict(self._images.storage.list())
        for original in self._rows.originals():
            scrub.report_and_throttle()
            scrub.count("originals", 0)
            size = sizes.get(original.file_path)
            if size != original.size_bytes and self._streams.image(original.image_id) is not None:
                scrub.record("originals", original.file_path, "missing" if size is None else "torn")


def check_named_files(scrub: ScrubPass, where: str, folder: Path, shard: str) -> None:
    """Compare files that are named by their SHA-256, those whose names begin with the two characters. Only reported."""
    for path in sorted(folder.rglob(f"{shard}*")) if folder.is_dir() else ():
        name = _NAMED.fullmatch(path.name)
        if name is None or path.is_symlink() or not path.is_file():
            continue
        scrub.report_and_throttle()
        try:
            size = path.stat().st_size
            is_same = _sha256(path, scrub.report_and_throttle) == name[1]
        except FileNotFoundError:
            continue
        except OSError:
            scrub.record(where, str(path.relative_to(folder)), "unreadable")
            continue
        scrub.count(where, size)
        if not is_same:
            scrub.record(where, str(path.relative_to(folder)), "altered")


def _damage_of(storage: Storage, original: StoredOriginal, step: Callable[[], object]) -> str:
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
