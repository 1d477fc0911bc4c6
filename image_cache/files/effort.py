"""What a fetch costs, over all of its attempts and turns, and when going on would have no end. Pure: no clock, no I/O."""

from dataclasses import dataclass

PROGRESS_BYTES = 64 * 1024  # an attempt that came this much further than any before it counts as progress
MAX_CUTS = 6  # in a row that brought bytes and no progress; a file that cannot be resumed has so many further tries
MAX_RESENT, RESENT_SLACK_BYTES = 8, 1_000_000  # received in all, as a multiple of the furthest byte


@dataclass(slots=True)
class FetchEffort:
    """What a fetch has cost, over all turns. `cuts`: attempts in a row that brought bytes and no progress."""

    furthest_bytes: int = 0
    received_bytes: int = 0
    cuts: int = 0

    def count(self, size_bytes: int, received_bytes: int) -> bool:
        """Count an attempt that ended with a part of that size; return True if it came further than any before it."""
        self.received_bytes += received_bytes
        is_progress = size_bytes - self.furthest_bytes >= PROGRESS_BYTES
        if is_progress:
            self.furthest_bytes, self.cuts = size_bytes, 0
        elif received_bytes:
            self.cuts += 1
        return is_progress

    @property
    def is_spent(self) -> bool:
        """True when the next attempt would most likely cost as much again for nothing."""
        return self.cuts >= MAX_CUTS or self.received_bytes > MAX_RESENT * self.furthest_bytes + RESENT_SLACK_BYTES
