"""The second tier of the settings."""

from image_cache.cluster.second_tier import TIMEOUT_S, SecondTier
from image_cache.config import Settings
from image_cache.storage.factory import open_bucket


def open_tier(settings: Settings) -> SecondTier:
    """Return the second tier; sends no request yet. Raises `ConfigError` or `StorageError`."""
    return SecondTier(open_bucket(settings, timeout_s=TIMEOUT_S))
