"""Analysis of covers that were not analysed when they were rendered, in the background, one after the other, in the decoder's child."""

import logging
import time

from image_cache.covers.digests import NAMESPACE
from image_cache.covers.service import ImageCache
from image_cache.engine.appearance_table import Appearance, AppearanceTable
from image_cache.engine.key import Key
from image_cache.errors import DecoderFailed, ImageRejected, StorageError
from image_cache.imaging.color import packed
from image_cache.imaging.decoder import Decoder

logger = logging.getLogger(__name__)

AT_A_TIME = 40  # appearances written in one transaction
RUN_S = 2.0  # of one run, so that other periodic jobs are not delayed


class AppearanceJob:
    """Analyses fetched covers. One process at a time is enough; two do the same work twice, harmlessly."""

    def __init__(self, covers: ImageCache, decoder: Decoder) -> None:
        self.rows = AppearanceTable(covers.registry.database)
        self._covers = covers
        self._decoder = decoder

    def run(self, run_s: float = RUN_S) -> int:
        """Analyse what is open, for at most `run_s`; returns how many. Raises `DatabaseError`."""
        end, done = time.monotonic() + run_s, 0
        while time.monotonic() < end and (digests := self.rows.unanalysed(AT_A_TIME)):
            found: list[Appearance] = []
            for digest in digests:
                found.append(self._analyse(digest))
                if time.monotonic() >= end:
                    break
            with self.rows.database.write() as conn:
                self.rows.put(conn, found, self._covers.clock())
            done += len(found)
        return done

    def _analyse(self, digest: str) -> Appearance:
        try:
            body = self._covers.cache.read(Key(NAMESPACE, "detail", digest))
            if body is None:  # evicted; the next fetch opens it again
                return Appearance(digest)
            seen = self._decoder.analyse(body)
        except (ImageRejected, DecoderFailed, StorageError) as error:
            logger.warning("cover analysis failed digest=%s reason=%s", digest[:12], error)
            return Appearance(digest)
        return Appearance(digest, seen.hash, packed(seen.colours), seen.is_blank)
