"""What people look at and miss: a job for each, but not one write for each of two hundred viewers of the same cold cover."""

import logging
import time
from collections.abc import Iterable

from image_cache.covers.loader import BASE_VARIANTS
from image_cache.db.database import DatabaseError
from image_cache.engine.jobs import VISIBLE, JobQueue, LoadRequest
from image_cache.engine.registry import ImageRecord
from image_cache.errors import QueueFull

logger = logging.getLogger(__name__)

LASTS_S = 5.0  # a wish is not written again within this time
KEPT = 4096


class DemandQueue:
    """Puts jobs in front of all others. Thread-safe: what it remembers is only a hint, so it needs no lock."""

    def __init__(self, jobs: JobQueue) -> None:
        self._jobs = jobs
        self._made_at: dict[tuple[str, str], float] = {}  # (digest, variant) -> monotonic time

    def make(self, image: ImageRecord, variant: str) -> bool:
        """Queue the image; False when that was done a moment ago, or cannot be done now."""
        now = time.monotonic()
        if now - self._made_at.get((image.digest, variant), -LASTS_S) < LASTS_S:
            return False
        if len(self._made_at) >= KEPT:
            self.forget()
        self._made_at[image.digest, variant] = now
        try:
            self._jobs.put([LoadRequest(image.digest, image.lane, wants_of(variant))], VISIBLE)
        except (QueueFull, DatabaseError) as error:
            logger.warning("wish not queued reason=%s", error)
            return False
        return True

    def take_back(self, digests: Iterable[str], variants: Iterable[str]) -> None:
        """What was looked at may be wished for again at once."""
        names = list(variants)
        for digest in digests:
            for variant in names:
                self._made_at.pop((digest, variant), None)

    def forget(self) -> None:
        self._made_at = {}


def wants_of(variant: str) -> tuple[str, ...]:
    """Return what a job has to be told to make the variant: nothing when every job makes it."""
    return () if variant in BASE_VARIANTS else (variant,)
