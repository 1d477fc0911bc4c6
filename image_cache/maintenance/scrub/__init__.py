"""Reads what is kept again, compares it with what the rows say, and mends what can be mended. Knows no Flask.

`Scrub.run` is one pass over all of it, or a portion; `Nightly` gives every night its portion, a thirtieth of the bytes.
"""

from image_cache.maintenance.scrub.nightly import Nightly
from image_cache.maintenance.scrub.report import ScrubFinding, ScrubReport
from image_cache.maintenance.scrub.run import Scrub

__all__ = ["Nightly", "Scrub", "ScrubFinding", "ScrubReport"]
