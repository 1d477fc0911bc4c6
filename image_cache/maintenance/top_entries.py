"""What is biggest, and what is requested most, in each of the three caches.

Stream images are named by their id: operators are not the audience of a private image, and a title may say what it shows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from image_cache.db.open_catalog import has_catalog
from image_cache.engine.cache import Cache
from image_cache.engine.key import Key, digest_of
from image_cache.files.disk.index import StoredFile
from image_cache.frozen import frozen
from image_cache.maintenance.cache_figures import COVERS, FILES, STREAMS
from image_cache.maintenance.readonly_vault import ReadonlyVault
from image_cache.streams.cache import NAMESPACE as STREAM_IMAGES
from image_cache.streams.cache import PAGE_FOLDER
from image_cache.streams.table import StreamTable

SHOWN = 3  # of each cache


@frozen
class TopEntry:
    """One entry of a cache. `detail` is its variant, or where a file is from; `path` its page here, "" if it has none.

    `size_bytes` is None where it is not known, `requests` where no one counts: outside the service, of images.
    """

    cache: str
    name: str
    detail: str
    size_bytes: int | None
    requests: int | None
    path: str = ""

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def biggest(vault: ReadonlyVault, limit: int = SHOWN) -> dict[str, list[TopEntry]]:
    """Return the largest entries of each cache, by its name. Raises `DatabaseError`."""
    covers = vault.index.largest(vault.cache.namespace, limit)
    streams = vault.streams.largest(STREAM_IMAGES, limit) if vault.streams.database.path.exists() else []
    files = sorted(_files(vault), key=lambda file: -file.size_bytes)
    names = _Names(vault, [key for key, _ in (*covers, *streams)])
    return {
        COVERS: [names.entry(COVERS, key, size, None) for key, size in covers],
        STREAMS: [names.entry(STREAMS, key, size, None) for key, size in streams],
        FILES: [_file(file) for file in files[:limit]],
    }


def most_requested(vault: ReadonlyVault, limit: int = SHOWN) -> dict[str, list[TopEntry]]:
    """Return the entries of each cache that were requested most: images since this process started, files since they are cached.

    Raises `DatabaseError`.
    """
    covers = _requested(vault.cache, limit)
    streams = _requested(vault.stream_cache, limit) if vault.stream_cache is not None else []
    names = _Names(vault, [key for key, _ in (*covers, *streams)])
    files = sorted((file for file in _files(vault) if file.hits), key=lambda file: -file.hits)
    return {
        COVERS: [names.entry(COVERS, key, _size(vault.cache, key), count) for key, count in covers],
        STREAMS: [
            names.entry(STREAMS, key, _size(vault.stream_cache, key) if vault.stream_cache else None, count)
            for key, count in streams
        ],
        FILES: [_file(file) for file in files[:limit]],
    }


def top_dicts(found: Mapping[str, Iterable[TopEntry]]) -> dict[str, list[dict[str, object]]]:
    """Return the lists for scripts."""
    return {cache: [one.to_dict() for one in entries] for cache, entries in found.items()}


def _requested(cache: Cache, limit: int) -> list[tuple[Key, int]]:
    return cache.memory.requests.most(limit)


def _size(cache: Cache, key: Key) -> int | None:
    row = cache.index.find(key)
    return None if row is None else row.size_bytes


def _files(vault: ReadonlyVault) -> list[StoredFile]:
    return vault.files.files() if (vault.settings.files_dir / "files.db").exists() else []


def _file(file: StoredFile) -> TopEntry:
    return TopEntry(FILES, file.name, file.remote.host, file.size_bytes, file.hits, f"/files/{file.digest}")


class _Names:
    """Names of a few keys: a cover by its record, else by its URL; a stream image by its id."""

    def __init__(self, vault: ReadonlyVault, keys: Iterable[Key]) -> None:
        self._vault = vault
        keys = list(keys)
        self._records = vault.records_of_covers([key.digest for key in keys if key.namespace == vault.cache.namespace])
        self._images = self._stream_images({key.digest for key in keys if key.namespace == STREAM_IMAGES})

    def entry(self, cache: str, key: Key, size_bytes: int | None, requests: int | None) -> TopEntry:
        name, path = self._named(cache, key)
        variant = key.variant.removeprefix("stream_").removeprefix(PAGE_FOLDER)
        return TopEntry(cache, name, variant, size_bytes, requests, path)

    def _named(self, cache: str, key: Key) -> tuple[str, str]:
        if cache == STREAMS:
            image_id = self._images.get(key.digest, "")
            return (f"image {image_id[:8]}", "") if image_id else (f"image of a page, {key.digest[:8]}", "")
        record = self._records.get(key.digest)
        if record is not None:
            return f"{record.artist}, {record.title}", f"/album/{record.id}"
        image = self._vault.registry.get(key.digest)
        return (image.url.partition("?")[0].rpartition("/")[2] or image.lane if image else key.digest[:12]), ""

    def _stream_images(self, digests: set[str]) -> dict[str, str]:
        """Return the ids of images by their digests, which cannot be turned back: a few hashes of each image."""
        if not digests or not has_catalog(self._vault.settings):
            return {}
        found = {}
        for image_id in StreamTable(self._vault.catalog).image_ids():
            if (digest := digest_of(STREAM_IMAGES, image_id)) in digests:
                found[digest] = image_id
        return found
