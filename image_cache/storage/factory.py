"""Storage by name, for settings and scripts."""

from typing import Any

from image_cache.config import Settings, load_settings
from image_cache.errors import ConfigError
from image_cache.storage.base import Storage
from image_cache.storage.local import LocalStorage
from image_cache.storage.s3 import TIMEOUT_S, S3Storage

# By kind: its class, and the option that names the place.
KINDS: dict[str, tuple[type[LocalStorage] | type[S3Storage], str]] = {
    "local": (LocalStorage, "root"),
    "s3": (S3Storage, "bucket_name"),
}


class StorageFactory:
    """Makes stores by name."""

    @staticmethod
    def create_backend(kind: str | None = None, **options: Any) -> Storage:
        """Return a store: `local` (with `root`), or `s3` with `bucket_name`, `aws_access_key`, `aws_secret_key` and more.

        See `LocalStorage` and `S3Storage` for all options. Without `root` or `bucket_name` it is the one of the settings, and so
        are its other options; without a kind, that of the settings. Raises `ValueError` for another kind, `ConfigError` if the
        settings name no bucket, `StorageError` if the library for it is not installed. Does no I/O.
        """
        if kind is None:
            kind = load_settings().STORAGE
        if kind not in KINDS:
            raise ValueError(f"unknown storage {kind!r}; choose local or s3")
        make, place = KINDS[kind]
        as_set = {} if place in options else _options(load_settings(), kind)
        return make(**{**as_set, **options})


def open_storage(settings: Settings) -> Storage:
    """Return the storage of originals. Raises `ConfigError` or `StorageError`; sends no request yet."""
    return StorageFactory.create_backend(settings.STORAGE, **_options(settings, settings.STORAGE))


def open_bucket(settings: Settings, folder: str = "", *, timeout_s: float = TIMEOUT_S) -> S3Storage:
    """Return the bucket of the settings, or a folder of it; `timeout_s` is for one request. Raises `ConfigError` or `StorageError`; sends no request yet."""
    options = _options(settings, "s3")
    return S3Storage(**options | {"prefix": f"{options['prefix'].strip('/')}/{folder}"}, timeout_s=timeout_s)


def _options(settings: Settings, kind: str) -> dict[str, Any]:
    if kind == "local":
        return {"root": settings.stream_images_dir, "floor_bytes": settings.floor_bytes}
    if not settings.S3_BUCKET:
        raise ConfigError("VINYL_VAULT_S3_BUCKET", "S3 storage needs a bucket")
    secret = ""
    if settings.S3_SECRET_KEY_FILE is not None:
        try:
            secret = settings.S3_SECRET_KEY_FILE.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError("VINYL_VAULT_S3_SECRET_KEY_FILE", f"cannot be read: {error.strerror}") from error
    return {
        "bucket_name": settings.S3_BUCKET,
        "aws_access_key": settings.S3_ACCESS_KEY,
        "aws_secret_key": secret,
        "endpoint": settings.S3_ENDPOINT,
        "region": settings.S3_REGION,
        "prefix": settings.S3_PREFIX,
    }
