"""Images to keep: a ZIP of the originals or of the largest variants, made part by part while a client takes it.

Each image is looked up again when its turn comes: one that was hidden or deleted meanwhile ends the archive, unfinished.
"""

import datetime
import os
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import IO

from image_cache.errors import QueueFull, StorageError
from image_cache.models import StreamImage
from image_cache.streams.images import StreamImages
from image_cache.streams.stored_zip import StoredZip, ZipEntry, zip_size

LARGEST = "stream_large"
PIECE_BYTES = 262_144
WAIT_S = 60.0  # for one image that is being rendered, or for the storage
MAX_STEM_CHARS = 100
UNSAFE = frozenset('\\/:*?"<>|')
RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}

Part = bytes | IO[bytes] | None  # None: not ready yet, ask again in a moment
Find = Callable[[str], StreamImage]
Pieces = Callable[[StreamImage, int, int], Iterator[bytes]]  # of the bytes of a video, from one place to another


def original_names(images: Sequence[StreamImage]) -> list[str]:
    """Return a name for the original of each image: that of the uploaded file, safe on every system, each once."""
    return _each_once(f"{safe_stem(PurePath(image.filename).stem)}.{image.file_path.rpartition('.')[2]}" for image in images)


def variant_names(images: Sequence[StreamImage], title: str) -> list[str]:
    """Return a name for the largest variant of each image: its title, or that of the stream with a number."""
    return _each_once(
        f"{safe_stem(image.title or f'{title} {number:02}')}.{_shown_suffix(image)}" for number, image in enumerate(images, 1)
    )


def original_size(images: Sequence[StreamImage]) -> int:
    """Return the length in bytes of the ZIP of these originals."""
    return zip_size([_original_entry(image, name) for image, name in zip(images, original_names(images), strict=True)])


def original_parts(store: StreamImages, images: Sequence[StreamImage], find: Find) -> Iterator[Part]:
    """Yield the parts of a ZIP of the originals. `find` returns an image if its originals may still be read; what it raises ends it.

    Raises `StorageError` if an original is missing or is not what the catalogue says: the length was promised.
    """
    archive = StoredZip()
    for image, name in zip(images, original_names(images), strict=True):
        current = find(image.image_id)
        if image.is_video and store.is_remote:
            yield from _video_parts(store.original_pieces, current, name, archive)
            continue
        body = store.open_original(current)
        if body is None:
            raise StorageError(image.file_path, "the original is missing")
        if isinstance(body, bytes):
            yield archive.begin(_checked(image, name, len(body)), zlib.crc32(body)) + body
            continue
        with body:
            entry = _checked(image, name, os.fstat(body.fileno()).st_size)
            yield archive.begin(entry, _crc_of(body))
            yield body
    yield archive.end()


def variant_parts(store: StreamImages, images: Sequence[StreamImage], title: str, find: Find) -> Iterator[Part]:
    """Yield the parts of a ZIP of the largest variants, rendered when they are not cached. One that cannot be rendered is left out."""
    archive = StoredZip()
    for image, name in zip(images, variant_names(images, title), strict=True):
        if image.is_video:
            yield from _video_parts(store.shown_pieces, find(image.image_id), name, archive)
            continue
        until = time.monotonic() + WAIT_S
        body: bytes | None = None
        while True:
            current = find(image.image_id)
            body = store.cached(current, LARGEST)
            if body is not None:
                break
            try:
                job = store.request(current, LARGEST)
            except (QueueFull, StorageError):
                job = None
            if job is not None and job.done.is_set():
                body = job.body
                break
            if time.monotonic() > until:
                raise StorageError(image.file_path, "the image was not rendered in time")
            yield None
        if body is not None:
            yield archive.begin(ZipEntry(name, len(body), _created_at(image)), zlib.crc32(body)) + body
    yield archive.end()


def _video_parts(pieces: Pieces, image: StreamImage, name: str, archive: StoredZip) -> Iterator[Part]:
    crc = 0
    for piece in pieces(image, 0, image.size_bytes):
        crc = zlib.crc32(piece, crc)
    yield archive.begin(_original_entry(image, name), crc)
    yield from pieces(image, 0, image.size_bytes)


def _shown_suffix(image: StreamImage) -> str:
    return image.file_path.rpartition(".")[2] if image.is_video else "webp"


def safe_stem(text: str) -> str:
    """Return a text as the name of a file without its ending: no separators or controls, no name that a system reserves."""
    text = unicodedata.normalize("NFC", text)
    kept = "".join("_" if char in UNSAFE or not char.isprintable() else char for char in text)[:MAX_STEM_CHARS].strip(" .")
    return f"_{kept}" if kept.casefold() in RESERVED else kept or "image"


def _each_once(names: Iterable[str]) -> list[str]:
    """Number the names that occur again, also in another case: `a.jpg`, `A (2).jpg`."""
    used: set[str] = set()
    found = []
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        number, free = 1, name
        while free.casefold() in used:
            number += 1
            free = f"{stem} ({number}){dot}{suffix}"
        used.add(free.casefold())
        found.append(free)
    return found


def _original_entry(image: StreamImage, name: str) -> ZipEntry:
    return ZipEntry(name, image.size_bytes, _created_at(image))


def _checked(image: StreamImage, name: str, size_bytes: int) -> ZipEntry:
    if size_bytes != image.size_bytes:
        raise StorageError(image.file_path, f"the original has {size_bytes} bytes, not {image.size_bytes}")
    return _original_entry(image, name)


def _created_at(image: StreamImage) -> float:
    return datetime.datetime.fromisoformat(image.created_at).timestamp() if image.created_at else 0.0


def _crc_of(file: IO[bytes]) -> int:
    crc = 0
    while data := file.read(PIECE_BYTES):
        crc = zlib.crc32(data, crc)
    file.seek(0)
    return crc
