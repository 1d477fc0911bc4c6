"""Which bytes of a video its viewers do not get: zeros over the same offsets, so that a range of it is the same range."""

import json
from collections.abc import Iterator
from typing import Self

from image_cache.frozen import frozen

Range = tuple[int, int]


@frozen
class Mask:
    """What is hidden of a file: ranges that are zeros, and offsets of box names that are `free` instead."""

    zeros: tuple[Range, ...] = ()
    freed: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        found = json.loads(text)
        return cls(tuple((start, stop) for start, stop in found["zeros"]), tuple(found["freed"]))

    def dump(self) -> str:
        return json.dumps({"zeros": self.zeros, "freed": self.freed}, separators=(",", ":"))

    def apply(self, piece: bytes, offset: int) -> bytes:
        """Return the bytes of the file from `offset` as a viewer gets them."""
        shown, end = bytearray(piece), offset + len(piece)
        for first, last in self.zeros:
            start, stop = max(first, offset), min(last, end)
            if start < stop:
                shown[start - offset : stop - offset] = bytes(stop - start)
        for at in self.freed:
            for number, letter in enumerate(b"free"):
                if offset <= at + number < end:
                    shown[at + number - offset] = letter
        return bytes(shown)


def merged(ranges: list[Range]) -> list[Range]:
    """Return the ranges in order, with those that touch as one."""
    found: list[Range] = []
    for start, stop in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def gaps(kept: list[Range], size: int) -> Iterator[Range]:
    """Yield what of a file of `size` bytes is in none of the ranges, which are merged."""
    at = 0
    for start, stop in kept:
        if at < start:
            yield at, start
        at = max(at, stop)
    if at < size:
        yield at, size
