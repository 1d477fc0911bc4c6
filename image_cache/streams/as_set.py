"""What the settings say about streams: what the documented classes take for every argument that is left out."""

from config import Settings
from image_cache.errors import ConfigError
from image_cache.storage.base import Storage
from image_cache.storage.factory import StorageFactory
from image_cache.streams.uploads import UploadLimits


def open_storage(settings: Settings) -> Storage:
    """Return the storage of originals. Raises `ConfigError` or `StorageError`; sends no request yet."""
    floor_bytes = settings.floor_bytes
    if settings.STORAGE == "local":
        return StorageFactory.create_backend("local", root=settings.stream_images_dir, floor_bytes=floor_bytes)
    if not settings.S3_BUCKET:
        raise ConfigError("VINYL_VAULT_S3_BUCKET", "a store of kind s3 needs a bucket")
    secret = ""
    if settings.S3_SECRET_KEY_FILE is not None:
        try:
            secret = settings.S3_SECRET_KEY_FILE.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError("VINYL_VAULT_S3_SECRET_KEY_FILE", f"cannot be read: {error.strerror}") from error
    return StorageFactory.create_backend(
        "s3",
        bucket_name=settings.S3_BUCKET,
        aws_access_key=settings.S3_ACCESS_KEY,
        aws_secret_key=secret,
        endpoint=settings.S3_ENDPOINT,
        region=settings.S3_REGION,
        prefix=settings.S3_PREFIX,
    )


def upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        settings.max_image_upload_bytes, settings.MAX_STREAM_IMAGES_PER_STREAM, settings.IMAGE_QUALITY, settings.RECIPE
    )
