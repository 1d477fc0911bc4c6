"""Load of one cover by a caller that waits for it, ahead of the queue: for scripts and commands, never for a request."""

import time
from dataclasses import replace

from image_cache.covers.loader import CoverLoader
from image_cache.covers.states import is_resting, wants_of
from image_cache.covers.store import CoverContext

WAIT_FOR_OTHERS_S = 60.0  # how long a synchronous caller waits for another process's fetch of the same cover
POLL_S = 0.05


def load_now(store: CoverContext, loader: CoverLoader, digest: str, variant: str) -> None:
    """Load a variant of a registered image, unless its last load failed a short time ago. Failures are recorded, not raised."""
    deadline = time.monotonic() + WAIT_FOR_OTHERS_S
    while True:
        image = store.registry.get(digest)
        if image is None or is_resting(image, store.clock()):
            return
        if (job := store.jobs.claim_one(digest)) is not None:
            break
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_S)
        store.jobs.release_dead()
    loader.run(replace(job, variants=wants_of(variant), lane=image.lane, attempts=1))
