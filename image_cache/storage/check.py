"""Storage check: tests each required operation, and optional ones, and removes everything it stored."""

import secrets
from collections.abc import Callable, Iterator

from image_cache.errors import StorageError
from image_cache.frozen import frozen
from image_cache.storage.base import CHUNK_BYTES, Storage

LARGE_BYTES = 6_000_000  # more than one part of a multipart upload
FOLDER = "doctor"


@frozen
class StorageFinding:
    """Result of one test. If it is not needed, a failure is only reported."""

    what: str
    is_ok: bool
    is_needed: bool = True
    note: str = ""


def examine(storage: Storage) -> list[StorageFinding]:
    """Run the tests in order; if storing fails, skip the others."""
    folder = f"{FOLDER}/{secrets.token_hex(8)}"
    name, large, copy, parted = (f"{folder}/{stem}.bin" for stem in ("small", "large", "copy", "parts"))
    body, large_body = secrets.token_bytes(1000), secrets.token_bytes(1000) * (LARGE_BYTES // 1000)
    findings: list[StorageFinding] = []

    def attempt(what: str, check: Callable[[], bool], *, is_needed: bool = True) -> bool:
        try:
            found = StorageFinding(what, check(), is_needed)
        except StorageError as error:
            found = StorageFinding(what, False, is_needed, f": {error.reason}")
        findings.append(found)
        return found.is_ok

    try:
        if attempt("stores an object", lambda: storage.put(name, body) == len(body)):
            attempt("reads the same bytes back", lambda: storage.get(name) == body)
            attempt("reports that the object exists", lambda: storage.exists(name))
            attempt(
                "reports that other objects do not",
                lambda: not storage.exists(f"{folder}/none.bin") and storage.get(f"{folder}/none.bin") is None,
            )
            attempt("lists objects with their size", lambda: (name, len(body)) in list(storage.list(folder)))
            attempt("accepts an object of 6 MB", lambda: storage.put(large, large_body) > 0 and storage.get(large) == large_body)
            attempt("reads a range", lambda: storage.read_range(large, 999, 2001) == large_body[999:2001])
            attempt("copies an object", lambda: storage.copy(name, copy) and storage.get(copy) == body)
            attempt(
                "accepts an object in parts",
                lambda: storage.put(parted, parts_of(large_body)) > 0 and storage.get(parted) == large_body,
            )
            attempt("signs URLs", lambda: bool(storage.url(name)), is_needed=False)
            attempt("deletes", lambda: storage.delete(name) and not storage.exists(name))
    finally:
        for leftover in (name, large, copy, parted):
            try:
                storage.delete(leftover)
            except StorageError:
                break
    return findings


def parts_of(body: bytes) -> Iterator[bytes]:
    return (body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))
