"""Sweep of the second tier: rendered covers in the store that no image of the register refers to any more."""

from collections.abc import Callable

from image_cache.cluster.second_tier.stored_table import StoredTable
from image_cache.cluster.second_tier.tier import BODY_DIGITS, SecondTier, SharedObject
from image_cache.errors import CacheError
from image_cache.frozen import frozen

MIN_AGE_S = 86400.0  # younger ones may be of a node that stores them before it writes the row


@frozen
class TierSweep:
    """Result: how many objects there are, and how many of them are orphans (removed unless it was a dry run), in bytes too."""

    objects: int = 0
    bytes: int = 0
    orphans: int = 0
    orphan_bytes: int = 0


def sweep_tier(tier: SecondTier, stored: StoredTable, now: Callable[[], float], *, is_dry_run: bool) -> TierSweep:
    """Remove the orphans that are older than a day. Raises `StorageError`, `DatabaseError`, and `CacheError` for an empty register.

    The register is disposable. While it is empty every object looks like an orphan, and all covers would be fetched again.
    """
    known = {_short(image.digest, image.body_sha256) for image in stored.fetched()}
    if not known:
        raise CacheError(
            "No cover is registered yet, so every object would count as an orphan. Try again when covers were fetched."
        )
    count = size_bytes = 0
    orphans: list[SharedObject] = []
    for found in tier.objects():
        count += 1
        size_bytes += found.size_bytes
        if (bytes.fromhex(found.digest[:32]), bytes.fromhex(found.body)) not in known and found.stored_at < now() - MIN_AGE_S:
            orphans.append(found)
    removed = orphans if is_dry_run else [found for found in orphans if _remove(tier, stored, found)]
    return TierSweep(count, size_bytes, len(removed), sum(found.size_bytes for found in removed))


def _remove(tier: SecondTier, stored: StoredTable, found: SharedObject) -> bool:
    body = stored.body_of(found.digest)  # again: the list took its time
    if body is not None and body.hex()[:BODY_DIGITS] == found.body:
        return False
    return tier.delete(found.name)


def _short(digest: str, body_sha256: bytes) -> tuple[bytes, bytes]:
    return bytes.fromhex(digest[:32]), body_sha256[: BODY_DIGITS // 2]
