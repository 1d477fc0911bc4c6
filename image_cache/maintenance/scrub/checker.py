"""One running scrub: whether bytes are an image, what was checked, and what was done about damage."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, DecoderFailed, ImageRejected
from image_cache.filesystem import make_folder
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Variant
from image_cache.maintenance.scrub.report import ScrubFinding, ScrubReport

logger = logging.getLogger(__name__)

# Two pixels square, lossless WebP. If the decoder rejects this one, the decoder is broken, and no image is judged by it.
SAMPLE = b"RIFF\x18\x00\x00\x00WEBPVP8L\x0c\x00\x00\x00/\x01@\x00\x00(O\xf1\xea\xd1\xff\x00"
SEEN = (Variant("seen", 16, quality=1, method=0),)
SET_ASIDE = ".set-aside"  # below the folder that is checked; hidden, so that nothing mistakes it for one of our files
MAX_DECODER_FAILURES = 5  # in a row; after that the decoder is not asked again in this run
# Repairs of images that are rejected although they are what was stored, and of files that cannot be read. So many in one run are
# the fault of the decoder, or of the disk, and repairing more would empty the cache: from then on they are only reported.
MAX_DOUBTFUL_REPAIRS = 20


class ScrubStopped(Exception):
    """The run ends here; what it has checked so far counts."""


class ImageChecker:
    """Decides whether bytes are an image. One run, one thread."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._failures = 0
        self._is_sound: bool | None = None

    def is_picture(self, body: bytes) -> bool | None:
        """Decode all of it; None when the decoder itself failed."""
        if self._failures >= MAX_DECODER_FAILURES or self._is_sound is False:
            return None
        verdict = self._decode(body)
        if verdict is None:
            self._failures += 1
        else:
            self._failures = 0
        if verdict is False and self._is_sound is None:
            self._is_sound = self._decode(SAMPLE)
            if not self._is_sound:
                logger.error("decoder rejected a valid image, image checks skipped")
                return None
        return verdict

    def _decode(self, body: bytes) -> bool | None:
        try:
            self._decoder.render(body, SEEN)
        except ImageRejected:
            return False
        except DecoderFailed as error:
            logger.warning("scrub inconclusive reason=%s", error)
            return None
        return True


class ScrubPass:
    """One running scrub. `throttle` is called between any two reads: it may wait, and returns False to end the run."""

    def __init__(
        self,
        report: ScrubReport,
        checker: ImageChecker,
        throttle: Callable[[], bool],
        progress: Callable[[ScrubReport], object],
        *,
        sets_aside: bool = False,
    ) -> None:
        self.report = report
        self.checker = checker
        self._throttle = throttle
        self._progress = progress
        self._sets_aside = sets_aside
        self._doubtful_repairs = 0

    @property
    def is_repair(self) -> bool:
        return self.report.is_repair

    def report_and_throttle(self) -> None:
        """Report progress, wait if that is wanted, and raise `ScrubStopped` when the run has to end."""
        self._progress(self.report)
        if not self._throttle():
            raise ScrubStopped

    def count(self, where: str, size_bytes: int) -> None:
        self.report.checked[where] += 1
        self.report.bytes += size_bytes

    def is_picture(self, body: bytes) -> bool:
        """Return True if unchanged bytes count as an image; without a verdict they do."""
        verdict = self.checker.is_picture(body)
        self.report.doubts += verdict is None
        return verdict is not False

    def setting_aside(self, root: Path, path: Path) -> Callable[[], str] | None:
        """Return the repair of a foreign file: it is set aside. None if this run leaves such files alone."""

        def set_aside() -> str:
            target = root / SET_ASIDE / path.relative_to(root)
            number = 1
            while os.path.lexists(target):
                number += 1
                target = target.with_name(f"{path.name}.{number}")
            make_folder(target.parent)
            path.rename(target)
            return "set aside"

        return set_aside if self._sets_aside else None

    def record(self, where: str, path: str, what: str, repair: Callable[[], str] | None = None) -> None:
        """Count a damage, and repair it if this run repairs. `repair` returns the outcome; None: nothing can be done."""
        outcome = ""
        if self.is_repair:
            outcome = "kept"
            if what in ("undecodable", "unreadable"):
                self._doubtful_repairs += 1
            if repair is not None and (
                what not in ("undecodable", "unreadable") or self._doubtful_repairs <= MAX_DOUBTFUL_REPAIRS
            ):
                try:
                    outcome = repair()
                except (CacheError, DatabaseError, OSError) as error:
                    logger.warning("not repaired where=%s path=%s reason=%s", where, path, error)
            logger.warning("damage found where=%s path=%s what=%s outcome=%s", where, path, what, outcome)
        self.report.add(ScrubFinding(where, path, what, outcome))
