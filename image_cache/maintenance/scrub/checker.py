"""One running scrub: whether bytes are a picture, what was checked, and what was done about damage."""

import logging
from collections.abc import Callable

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, DecoderFailed, ImageRejected
from image_cache.imaging.decoder import Decoder
from image_cache.imaging.variants import Variant
from image_cache.maintenance.scrub.report import ScrubFinding, ScrubReport

logger = logging.getLogger(__name__)

# Two pixels square, as WebP without loss. A decoder that refuses this one is what is broken, not the pictures it is asked about.
SAMPLE = b"RIFF\x18\x00\x00\x00WEBPVP8L\x0c\x00\x00\x00/\x01@\x00\x00(O\xf1\xea\xd1\xff\x00"
SEEN = (Variant("seen", 16, quality=1, method=0),)
MOST_FAILURES = 5  # pictures in a row on which the decoder died; after that nobody asks it again in this run
# Pictures that are refused although they are what was stored, and files that the disk does not give. So many at once are the
# decoder's fault, or the disk's, and taking them away would empty the cache: from then on they are only told.
MOST_BELIEVED = 20


class ScrubStopped(Exception):
    """The run ends here. What it has seen so far counts."""


class ImageChecker:
    """Says whether bytes are a picture. One run, one thread."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._failures = 0
        self._is_sound: bool | None = None

    def is_picture(self, body: bytes) -> bool | None:
        """Decode all of it; None when the decoder has no verdict, for reasons of its own."""
        if self._failures >= MOST_FAILURES or self._is_sound is False:
            return None
        verdict = self._ask(body)
        if verdict is None:
            self._failures += 1
        else:
            self._failures = 0
        if verdict is False and self._is_sound is None:
            self._is_sound = self._ask(SAMPLE)
            if not self._is_sound:
                logger.error("decoder refuses a picture that is whole; nothing is judged by it")
                return None
        return verdict

    def _ask(self, body: bytes) -> bool | None:
        try:
            self._decoder.render(body, SEEN)
        except ImageRejected:
            return False
        except DecoderFailed as error:
            logger.warning("scrub without a verdict reason=%s", error)
            return None
        return True


class ScrubPass:
    """One run under way. `breathe` is asked between any two reads: it may wait, and says whether to go on."""

    def __init__(
        self, report: ScrubReport, judge: ImageChecker, breathe: Callable[[], bool], tell: Callable[[ScrubReport], object]
    ) -> None:
        self.report = report
        self.judge = judge
        self._breathe = breathe
        self._tell = tell
        self._believed = 0

    @property
    def is_repair(self) -> bool:
        return self.report.is_repair

    def rest(self) -> None:
        """Raise `ScrubStopped` when there is no time for more."""
        self._tell(self.report)
        if not self._breathe():
            raise ScrubStopped

    def saw(self, where: str, size_bytes: int) -> None:
        self.report.checked[where] += 1
        self.report.bytes += size_bytes

    def is_picture(self, body: bytes) -> bool:
        """Tell whether bytes that are what was stored may count as a picture; without a verdict they do."""
        verdict = self.judge.is_picture(body)
        self.report.doubts += verdict is None
        return verdict is not False

    def damaged(self, where: str, path: str, what: str, mend: Callable[[], str] | None = None) -> None:
        """Count a damage, mended when that was asked for. `mend` returns what became of it; None: nothing can be done."""
        outcome = ""
        if self.is_repair:
            outcome = "kept"
            if what in ("undecodable", "unreadable"):
                self._believed += 1
            if mend is not None and (what not in ("undecodable", "unreadable") or self._believed <= MOST_BELIEVED):
                try:
                    outcome = mend()
                except (CacheError, DatabaseError, OSError) as error:
                    logger.warning("not mended where=%s path=%s reason=%s", where, path, error)
            logger.warning("damage found where=%s path=%s what=%s outcome=%s", where, path, what, outcome)
        self.report.add(ScrubFinding(where, path, what, outcome))
