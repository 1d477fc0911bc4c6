"""The guarded fetch as the settings want it. Imports requests only when one is made."""

from typing import TYPE_CHECKING

from config import Settings
from image_cache.net.policy import PeerPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from image_cache.net.client import HttpClient

MEGABYTE = 1_000_000


def make_policy(settings: Settings, *also_trusted: str) -> PeerPolicy:
    """Return who may be spoken to. Raises `ConfigError` for an entry that is no host or origin."""
    return PeerPolicy((*settings.TRUSTED_ORIGINS, *also_trusted), settings.ORIGIN_ALLOWLIST, settings.ORIGIN_DENYLIST)


def make_fetcher(
    settings: Settings,
    policy: PeerPolicy | None = None,
    private_cas: "Mapping[str, Path] | None" = None,
    *,
    read_timeout_s: float = 5.0,
) -> "HttpClient":
    """Return a fetcher with the limits of pictures; `HttpClient.open` takes others for one answer."""
    from image_cache.net.client import HttpClient

    return HttpClient(
        policy or make_policy(settings),
        max_bytes=int(settings.MAX_FETCH_MB * MEGABYTE),
        deadline_s=settings.FETCH_DEADLINE_S,
        read_timeout_s=read_timeout_s,
        contact=settings.CONTACT,
        private_cas=private_cas,
    )
