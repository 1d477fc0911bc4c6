"""What a person says about stored files: pin, unpin, remove those that were not used for long; and how much each origin takes."""

import logging

from image_cache.errors import OriginDenied, UnknownFile
from image_cache.files.disk.index import StoredFile
from image_cache.files.disk.store import FileStore
from image_cache.files.download.partial import read_note, write_note
from image_cache.files.near_names import did_you_mean
from image_cache.files.paths import note_path
from image_cache.files.registries.registry import RegistryFolder
from image_cache.frozen import frozen

logger = logging.getLogger(__name__)


@frozen
class OriginUsage:
    """What the files of one origin take."""

    host: str
    files: int
    size_bytes: int
    pinned: int
    pinned_bytes: int


def pin(store: FileStore, digest: str, *, is_pinned: bool = True) -> None:
    """Pin or unpin a stored file, and the fetch of one. Raises `UnknownFile`.

    The note beside the file says it too, so that a lost index loses no pin.
    """
    store.open()
    with store.alone():  # an eviction that has chosen its files would still remove this one
        stored = store.index.find(digest)
        if stored is not None:
            note = note_path(store.root / stored.path)
            write_note(note, {**read_note(note), "is_pinned": is_pinned})
            store.index.update(digest, is_pinned=int(is_pinned))
        is_coming = store.index.change(digest, is_pinned=int(is_pinned))
    if stored is None and not is_coming:
        raise UnknownFile("No such file.")


def unused(store: FileStore, age_s: float) -> list[StoredFile]:
    """Return the files that were not used for so long, the longest unused first, without the pinned ones."""
    store.open()
    store.usage.flush()  # the uses of the last minute count too
    limit = store.clock() - age_s
    return [stored for stored in reversed(store.index.files()) if not stored.is_pinned and stored.used_at <= limit]


def prune(store: FileStore, age_s: float) -> list[StoredFile]:
    """Remove the files that `unused` names, and return them. Raises `StorageError`."""
    removed = []
    for stored in unused(store, age_s):
        with store.alone():  # a pin of this moment wins
            now = store.index.find(stored.digest)
            if now is None or now.is_pinned or now.path != stored.path:
                continue
            store.delete(now)
        store.discard_part(stored.digest)
        removed.append(stored)
    return removed


def usage_by_origin(store: FileStore) -> list[OriginUsage]:
    """Return what each origin takes, the largest first."""
    store.open()
    by_host: dict[str, list[StoredFile]] = {}
    for stored in store.index.files():
        by_host.setdefault(stored.remote.host, []).append(stored)
    found = [
        OriginUsage(
            host,
            len(files),
            sum(file.size_bytes for file in files),
            sum(file.is_pinned for file in files),
            sum(file.size_bytes for file in files if file.is_pinned),
        )
        for host, files in by_host.items()
    ]
    return sorted(found, key=lambda usage: (-usage.size_bytes, usage.host))


def find_file(store: FileStore, text: str, registries: RegistryFolder | None = None) -> StoredFile:
    """Return the stored file that a person means: by its URL, its name, the name that a registry has for it, or the first 6 or
    more digits of its SHA-256.

    Raises `UnknownFile` if there is none, or more than one; with names that are like it.
    """
    store.open()
    files = store.index.files()
    of_registries = [] if registries is None else registries.named(text)
    digests = {file.remote().digest for file in of_registries}
    found = [file for file in files if text in (file.name, file.url, file.remote.shown, file.digest) or file.digest in digests]
    if not found and len(text) >= 6:
        found = [file for file in files if file.sha256.startswith(text.lower())]
    if not found and "/" in text:
        found = _with_url(store, files, text)
    if len(found) == 1:
        return found[0]
    if found:
        urls = ", ".join(file.remote.shown for file in found[:5])
        raise UnknownFile(f"{len(found)} stored files are called {text[:80]!r}. Give the URL of the one you mean: {urls}")
    if of_registries:
        raise UnknownFile(f"{text[:80]!r} is not cached. `files get` downloads it.")
    names = [file.name for file in files] + ([] if registries is None else registries.file_names())
    raise UnknownFile(f"No stored file is called {text[:80]!r}.{did_you_mean(text, names)} `files list` shows their names.")


def _with_url(store: FileStore, files: list[StoredFile], text: str) -> list[StoredFile]:
    """Return the files of a URL in any spelling. Raises `OriginDenied` for what looks like a URL and is none."""
    try:
        digest = store.remote(text).digest
    except OriginDenied:
        if "://" in text:
            raise
        return []  # a path without IMAGE_SERVER: no file has such a name
    return [file for file in files if file.digest == digest]
