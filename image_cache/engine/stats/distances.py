"""Keys in the order of their last use, and how many bytes lie between two uses of one. Knows no sample and no cache."""

UNKNOWN_BYTES = 16_000  # of a key whose size nobody has said, while no other is known


class LruDistanceTree:
    """Keys in the order of use, as a Fenwick tree over their sizes: a distance costs a dozen additions, not a walk."""

    def __init__(self, sizes: dict[int, int], more: int) -> None:
        self._length = len(sizes) + more + 1
        self._tree = [0] * (self._length + 1)
        self._sizes = dict(sizes)
        self.places: dict[int, int] = {}
        self.stored: dict[int, int] = {}  # sizes of keys that were stored before they were used
        self._next = 1
        self._total = 0
        for tag, size in sizes.items():
            self._put(tag, size)

    def use(self, tag: int, size: int) -> int | None:
        """Move a key to the end; return the bytes that were used since its last use, itself among them. None: its first use."""
        size = size or self._sizes.get(tag) or self.stored.pop(tag, 0) or self._usual()
        place = self.places.get(tag)
        distance = None if place is None else self._total - self._before(place) + size - self._sizes[tag]
        if place is not None:
            self.drop(tag)
        self._put(tag, size)
        return distance

    def resize(self, tag: int, size: int) -> None:
        self._change(self.places[tag], size - self._sizes[tag])
        self._sizes[tag] = size

    def drop(self, tag: int) -> None:
        self._change(self.places.pop(tag), -self._sizes.pop(tag))

    def in_order(self) -> dict[int, int]:
        return {tag: self._sizes[tag] for tag in sorted(self.places, key=self.places.__getitem__)}

    def _put(self, tag: int, size: int) -> None:
        self.places[tag], self._sizes[tag] = self._next, size
        self._change(self._next, size)
        self._next += 1

    def _usual(self) -> int:
        return self._total // len(self.places) if self.places else UNKNOWN_BYTES

    def _change(self, place: int, by: int) -> None:
        self._total += by
        while place <= self._length:
            self._tree[place] += by
            place += place & -place

    def _before(self, place: int) -> int:
        """Return the bytes of the keys that were used before the one at this place."""
        place, found = place - 1, 0
        while place:
            found += self._tree[place]
            place -= place & -place
        return found
