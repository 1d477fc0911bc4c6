"""State of a cover: ready, in work, given up; fresh or stale; and what a load still has to render. No I/O."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from image_cache.engine.job import LoadRequest
from image_cache.engine.registry import ImageRecord
from image_cache.frozen import frozen
from image_cache.imaging.variants import Variant
from image_cache.machine import EARLIEST_AT
from image_cache.models import Cover

# The queue of what this node lacks of images that any node has fetched, where there are many. No host has such a name.
NODE_LANE = "(node)"
# Rendered with every fetch: what phones and the default density show, and what everything smaller is made from. Others on request.
BASE_VARIANTS = ("thumbnails-2x", "detail")
SETTLED_FRESH_S = 365 * 86400.0  # for identities whose bytes never change
# A `retry_at` further ahead than any back-off was written by a wrong clock; it is ignored.
LONGEST_REST_S, LONGEST_FINAL_REST_S = 2 * 3600.0, 60 * 86400.0

_BASE = frozenset(BASE_VARIANTS)


@frozen
class KnownImages:
    """What is known about some images, by digest: their rows, which variants are stored, and whether a job runs now.

    `are_shared`: other nodes fetch the same images.
    """

    images: Mapping[str, ImageRecord]
    stored: Mapping[str, set[str]]
    running: Mapping[str, bool]
    are_shared: bool = False

    def covers(self, digests: Sequence[str], now: float, *, unknown: str) -> list[Cover]:
        """Return a cover for each digest, in order: `none` for "", the state `unknown` for one that is not registered."""
        found = {
            digest: cover_of(
                image,
                self.stored.get(digest, ()),
                is_running=self.running.get(digest, False),
                is_elsewhere=self.are_shared and is_fetched(image),
                now=now,
            )
            for digest, image in self.images.items()
        }
        return [found.get(digest) or self._without_row(digest, unknown) for digest in digests]

    def loads(self, digests: Iterable[str], now: float, also: str = "") -> list[LoadRequest]:
        """Return what has to be loaded of the digests, with the variant `also`. Unknown ones and those given up are left out."""
        wants = wants_of(also) if also else ()
        found = [image for digest in dict.fromkeys(digests) if (image := self.images.get(digest)) is not None]
        own = {image.digest for image in found if self._is_own(image, wants)} if self.are_shared else set()
        return [
            LoadRequest(image.digest, NODE_LANE if image.digest in own else image.lane, wants)
            for image in found
            if image.digest in own or needs_load(image, self.stored.get(image.digest, ()), now, wants)
        ]

    def _is_own(self, image: ImageRecord, wants: Collection[str]) -> bool:
        """Return True if some node has fetched the image, and this one lacks variants."""
        return is_fetched(image) and not _BASE.union(wants).issubset(self.stored.get(image.digest, ()))

    def _without_row(self, digest: str, unknown: str) -> Cover:
        if not digest:
            return Cover("", "none")
        return Cover(digest, unknown if _BASE.isdisjoint(self.stored.get(digest, ())) else "ready")


def cover_of(image: ImageRecord, stored: Collection[str], *, is_running: bool, now: float, is_elsewhere: bool = False) -> Cover:
    """Return what a page shows of an image: `stored` are its variants, `is_running` whether a job loads it now.

    `is_elsewhere`: another node has fetched it, so that a failure since then says nothing about this one.
    """
    if not _BASE.isdisjoint(stored):
        state = "ready"
    elif is_running:
        state = "working"
    else:
        state = "failed" if is_given_up(image, now) and not is_elsewhere else "waiting"
    edge_px = max(image.width or 0, image.height or 0) or None
    return Cover(image.digest, state, image.average, image.hue, image.chroma, image.retry_at or None, edge_px)


def is_fetched(image: ImageRecord) -> bool:
    """Return True if some node has fetched the image, so that it is rendered somewhere."""
    return image.fetched_at is not None


def needs_load(image: ImageRecord, stored: Collection[str], now: float, wants: Collection[str] = ()) -> bool:
    """Return True if a base variant or one of `wants` is missing or the image is stale, and it may be tried now."""
    return (not _BASE.union(wants).issubset(stored) or is_stale(image, now)) and not is_resting(image, now)


def is_stale(image: ImageRecord, now: float) -> bool:
    """Return True if the image is past its freshness. A time further ahead than we ever set was written by a wrong clock.

    Nothing is while the clock itself is wrong: a board without a battery starts in the past, and would ask for every cover.
    """
    if now < EARLIEST_AT and image.fresh_until is not None:
        return False
    return image.fresh_until is None or not now < image.fresh_until <= now + SETTLED_FRESH_S + 1


def is_resting(image: ImageRecord, now: float) -> bool:
    """Return True if the last load failed and it is too early for a retry."""
    longest_s = LONGEST_FINAL_REST_S if image.is_final else LONGEST_REST_S
    return image.failures > 0 and now < image.retry_at <= now + longest_s


def is_given_up(image: ImageRecord, now: float) -> bool:
    """Return True if a page should say that there is no cover, until `retry_at`."""
    return image.is_final and is_resting(image, now)


def missing_variants(variants: Iterable[Variant], stored: Collection[str], wants: Collection[str] = ()) -> list[Variant]:
    """Return the variants that a load with these wants has to render."""
    return [v for v in variants if (v.name in _BASE or v.name in wants) and v.name not in stored]


def wants_of(variant: str) -> tuple[str, ...]:
    """Return what a job has to name so that the variant is rendered: nothing for one that every job renders."""
    return () if variant in _BASE else (variant,)
