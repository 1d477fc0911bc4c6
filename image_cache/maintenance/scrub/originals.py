"""Stream images: what was rendered of them, and the originals, which are precious: those are compared and told, never touched."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from image_cache.engine.key import Key
from image_cache.maintenance.scrub.checker import ScrubPass
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
