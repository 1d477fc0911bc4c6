"""Storage by name, for settings and scripts."""

from typing import Any

from image_cache import config
from image_cache.storage.base import Storage
from image_cache.storage.local import LocalStorage
from image_cache.storage.s3 import S3Storage


class StorageFactory:
    """Makes stores by name."""

    @staticmethod
    def create_backend(kind: str, **options: Any) -> Storage:
        """Return a store: `local` (with `root`), or `s3` with `bucket_name`, `aws_access_key`, `aws_secret_key` and more.

        See `LocalStorage` and `S3Storage` for all options. Raises `ValueError` for another kind, `StorageError` if the
        library for it is not installed. Does no I/O.
        """
        if kind == "local":
            if "root" not in options:
                options["root"] = config.STREAM_IMAGES_DIR  # reads the settings
            return LocalStorage(**options)
        if kind == "s3":
            return S3Storage(**options)
        raise ValueError(f"{kind!r} is none of local, s3")
