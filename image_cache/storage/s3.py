"""Originals in a bucket that speaks S3, through obstore. Imported only when such a store is configured: 7 MB of memory.

Needs the extra `s3` (`requirements-s3.txt`). Relies on plain PUT, GET, HEAD, DELETE and LIST only: of three real servers that
were tried, one honours conditional writes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from image_cache.errors import StorageError
from image_cache.storage.local import Body, download_file, parts_of, upload_file

TIMEOUT_S = 30.0  # of one request, an upload of 20 MB over a slow line included
CONNECT_S = 2.0
# The default of the library is ten tries in three minutes; whoever looks at a page does not wait for that.
RETRIES = 2
RETRY_S = 3.0


class S3Storage:
    """One bucket, or the part of it below `prefix`. `endpoint` is for stores other than AWS: `https://host:port`.

    Without keys the usual environment of AWS tools decides. Plain HTTP is spoken only to an `endpoint` that says so.
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
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError as error:
            reason = "the library for S3 is not installed: pip install --require-hashes -r requirements-s3.txt"
            raise StorageError(f"s3://{bucket_name}", reason) from error
        config: Any = {"region": region, "virtual_hosted_style_request": virtual_hosted_style}
        if aws_access_key:
            config |= {"access_key_id": aws_access_key, "secret_access_key": aws_secret_key}
        if endpoint:
            config["endpoint"] = endpoint
        self._library = obstore
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.name = f"s3://{bucket_name}/{self._prefix}"
        self._store = S3Store(
            bucket_name,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "timeout": timedelta(seconds=timeout_s),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_S),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=1),
                    "base": 2,
                },
            },
        )

    def put(self, name: str, body: Body) -> int:
        data = body if isinstance(body, bytes) else b"".join(body)
        with self._told(name):
            # In one piece: a PUT appears whole or not at all, an upload in parts can be left half done.
            self._library.put(self._store, self._key(name), data, use_multipart=False)
        return len(data)

    def get(self, name: str) -> bytes | None:
        with self._told(name):
            try:
                return bytes(self._library.get(self._store, self._key(name)).bytes())
            except (FileNotFoundError, self._library.exceptions.NotFoundError):
                return None

    def delete(self, name: str) -> bool:
        # S3 says that it has deleted what never was.
        was_there = self.exists(name)
        if was_there:
            with self._told(name):
                self._library.delete(self._store, self._key(name))
        return was_there

    def exists(self, name: str) -> bool:
        with self._told(name):
            try:
                self._library.head(self._store, self._key(name))
            except (FileNotFoundError, self._library.exceptions.NotFoundError):
                return False
        return True

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        below = self._key(prefix.strip("/")) if prefix.strip("/") else self._prefix.rstrip("/") or None
        with self._told(prefix):
            found = [(str(row["path"]), int(row["size"])) for rows in self._library.list(self._store, below) for row in rows]
        for path, size in sorted(found):
            yield path.removeprefix(self._prefix), size

    def url(self, name: str, expires_s: int = 300) -> str:
        with self._told(name):
            return str(self._library.sign(self._store, "GET", self._key(name), timedelta(seconds=expires_s)))

    def upload_file(self, local_path: str | Path, remote_path: str) -> int:
        return upload_file(self, local_path, remote_path)

    def download_file(self, remote_path: str, local_path: str | Path) -> int:
        return download_file(self, remote_path, local_path)

    def _key(self, name: str) -> str:
        return self._prefix + "/".join(parts_of(name))

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except (self._library.exceptions.BaseError, OSError) as error:
            # The first line says what happened; the rest is the library's debugging output, with addresses in it.
            raise StorageError(f"{self.name}{name}", _reason(error)) from error


def _reason(error: Exception) -> str:
    kind = type(error).__name__.removesuffix("Error")
    words = {
        "PermissionDenied": "the store refuses these keys",
        "Unauthenticated": "the store does not know these keys",
        "FileNotFound": "there is no such bucket",
        "NotFound": "there is no such bucket",
    }
    return words.get(kind, "the store does not answer")
