"""Scrub: stored data is read again, compared with its rows and hashes, and repaired where possible. Knows no Flask.

`Scrub.run` is one pass over all of it, or a part; `Nightly` runs a thirtieth of the bytes per night.
"""

from image_cache.maintenance.scrub.nightly import Nightly, activity
from image_cache.maintenance.scrub.report import ScrubFinding, ScrubReport
from image_cache.maintenance.scrub.run import Scrub

__all__ = ["Nightly", "Scrub", "ScrubFinding", "ScrubReport", "activity"]
