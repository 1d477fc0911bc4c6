"""S3 storage: originals in a bucket, through obstore, which costs 7 MB and is imported with the first request.

Needs the extra `s3` (`requirements-s3.txt`). Relies on plain PUT, GET, HEAD, DELETE and LIST only: of three real servers that
were tried, one supports conditional writes.
"""

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from image_cache.errors import StorageAway, StorageError
from image_cache.storage.base import Body, download_file, name_parts, upload_file

TIMEOUT_S = 30.0  # of one request, an upload of 20 MB over a slow line included
CONNECT_S = 2.0
ASK_S = 3.0  # of a request without bytes: pages and health wait for it
# The library's default is ten attempts in three minutes, too long for a person who waits for a page.
RETRIES = 2
RETRY_S = 3.0
AWAY = "the S3 storage is not responding"
SHA256 = "sha256"  # the name under which an object keeps that of its bytes
PART_BYTES, PARTS_AT_ONCE = 5 << 20, 2  # the smallest part that S3 takes; what is in memory of a long body


class S3Storage:
    """One bucket, or the part of it below `prefix`. `endpoint` is for stores other than AWS: `https://host:port`.

    Without keys the environment variables of AWS tools are used. Plain HTTP is used only for an `endpoint` that starts with `http://`.
    """

    kind = "s3"

    def __init__(
        self,
        bucket_name: str,
        aws_access_key: str = "",
        aws_secret_key: str = "",
        *,
        endpoint: str = "",
        region: str = "us-east-1",
        prefix: str = "",
        virtual_hosted_style: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if importlib.util.find_spec("obstore") is None:
            reason = "S3 support is not installed. Run: pip install --require-hashes -r requirements-s3.txt"
            raise StorageError(f"s3://{bucket_name}", reason)
        config: Any = {"region": region, "virtual_hosted_style_request": virtual_hosted_style}
        if aws_access_key:
            config |= {"access_key_id": aws_access_key, "secret_access_key": aws_secret_key}
        if endpoint:
            config["endpoint"] = endpoint
        self._bucket_name, self._config, self._timeout_s = bucket_name, config, timeout_s
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.name = f"s3://{bucket_name}/{self._prefix}"

    @cached_property
    def _library(self) -> Any:
        import obstore

        return obstore

    @cached_property
    def _store(self) -> Any:
        return self._open(self._timeout_s)

    @cached_property
    def _quick_store(self) -> Any:
        return self._open(min(self._timeout_s, ASK_S))

    def _open(self, limit_s: float) -> Any:
        from obstore.store import S3Store

        return S3Store(
            self._bucket_name,
            config=self._config,
            client_options={
                "allow_http": str(self._config.get("endpoint", "")).startswith("http://"),
                "connect_timeout": timedelta(seconds=min(limit_s, CONNECT_S)),
                "timeout": timedelta(seconds=limit_s),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=min(limit_s, RETRY_S)),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=1),
                    "base": 2,
                },
            },
        )

    def put(self, name: str, body: Body) -> int:
        if isinstance(body, bytes):
            with self._translate_errors(name):
                # In one request: a multipart upload that a crash interrupts leaves parts in the bucket.
                self._library.put(self._store, self._key(name), body, use_multipart=False)
            return len(body)
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            try:
                for piece in body:
                    size += len(piece)
                    yield piece
            except OSError as error:  # of what is read: the store is fine
                raise StorageError(name, error.strerror or str(error)) from error

        with self._translate_errors(name):
            # `body` is read by the library, so it must not call the library itself.
            # A video: no request for 100 MB ends within the timeout on a slow line, and twice 100 MB are much memory on a Pi. The
            # name appears with the last part. On an error the library removes the parts; docs/STREAMS.md says what a crash leaves.
            self._library.put(
                self._store,
                self._key(name),
                counted(),
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        return size

    def get(self, name: str) -> bytes | None:
        with self._translate_errors(name):
            try:
                return bytes(self._library.get(self._store, self._key(name)).bytes())
            except (FileNotFoundError, self._library.exceptions.NotFoundError):
                return None

    def put_hashed(self, name: str, body: bytes) -> int:
        """Store bytes together with their SHA-256, which `get_hashed` returns; returns how many. Raises `StorageError`."""
        attributes = {"Content-Type": "image/webp", SHA256: hashlib.sha256(body).hexdigest()}
        with self._translate_errors(name):
            self._library.put(self._store, self._key(name), body, use_multipart=False, attributes=attributes)
        return len(body)

    def get_hashed(self, name: str, limit_bytes: int) -> tuple[bytes, str] | None:
        """Return bytes, and their SHA-256 in hex as it was when they were stored ("" if the store did not keep it).

        None if there are none under this name, or more than the limit.
        """
        with self._translate_errors(name):
            try:
                found = self._library.get(self._store, self._key(name))
                if found.meta["size"] > limit_bytes:
                    return None
                return bytes(found.bytes()), str(found.attributes.get(SHA256, ""))
            except (FileNotFoundError, self._library.exceptions.NotFoundError):
                return None

    def read_range(self, name: str, start: int, stop: int) -> bytes | None:
        with self._translate_errors(name):
            try:
                return bytes(self._library.get_range(self._store, self._key(name), start=start, end=stop))
            except (FileNotFoundError, self._library.exceptions.NotFoundError):
                return None

    def copy(self, name: str, target: str) -> bool:
        with self._translate_errors(name):
            try:
                self._library.copy(self._store, self._key(name), self._key(target))
            except (FileNotFoundError, self._library.exceptions.NotFoundError):
                return False
        return True

    def delete(self, name: str) -> bool:
        # S3 reports success for a name that never existed.
        was_there = self.exists(name)
        if was_there:
            with self._translate_errors(name):
                self._library.delete(self._quick_store, self._key(name))
        return was_there

    def exists(self, name: str) -> bool:
        with self._translate_errors(name):
            try:
                self._library.head(self._quick_store, self._key(name))
            except (FileNotFoundError, self._library.exceptions.NotFoundError):
                return False
        return True

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        below = self._key(prefix.strip("/")) if prefix.strip("/") else self._prefix.rstrip("/") or None
        with self._translate_errors(prefix):
            found = [(str(row["path"]), int(row["size"])) for rows in self._library.list(self._store, below) for row in rows]
        for path, size in sorted(found):
            yield path.removeprefix(self._prefix), size

    def objects(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        """Yield (name, size in bytes, when it was stored) of all below a folder, in any order, a page of them in memory at a time."""
        with self._translate_errors(prefix):
            for rows in self._library.list(self._store, self._key(prefix.strip("/"))):
                for row in rows:
                    yield str(row["path"]).removeprefix(self._prefix), int(row["size"]), row["last_modified"].timestamp()

    def url(self, name: str, expires_s: int = 300) -> str:
        with self._translate_errors(name):
            return str(self._library.sign(self._store, "GET", self._key(name), timedelta(seconds=expires_s)))

    def upload_file(self, local_path: str | Path, remote_path: str) -> int:
        return upload_file(self, local_path, remote_path)

    def download_file(self, remote_path: str, local_path: str | Path) -> int:
        return download_file(self, remote_path, local_path)

    def _key(self, name: str) -> str:
        return self._prefix + "/".join(name_parts(name))

    @contextmanager
    def _translate_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (self._library.exceptions.BaseError, OSError) as error:
            # The library's own text is debugging output that contains URLs.
            reason = _reason_of(error)
            raise (StorageAway if reason == AWAY else StorageError)(f"{self.name}{name}", reason) from error


def _reason_of(error: Exception) -> str:
    kind = type(error).__name__.removesuffix("Error")
    if "non-partial response" in str(error):
        return "the S3 storage does not support ranges, and cannot play videos"
    words = {
        "PermissionDenied": "access denied: these keys are not allowed to use the bucket",
        "Unauthenticated": "invalid access key",
        "FileNotFound": "the bucket does not exist",
        "NotFound": "the bucket does not exist",
    }
    return words.get(kind, AWAY)
