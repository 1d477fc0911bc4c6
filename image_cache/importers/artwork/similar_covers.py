"""Groups of similar covers, by the hashes of their shapes (a union-find over buckets of 16 bits)."""

from collections.abc import Callable, Sequence

MAX_BITS = 7  # of 64: another scan or size of a cover differs in 0 to 6 bits, another cover in 20 and more
_BANDS = (0, 16, 32, 48)


def groups(hashes: Sequence[int], max_bits: int = MAX_BITS) -> list[list[int]]:
    """Return the indexes of hashes that differ in few bits, each group in order, groups by their first index. `max_bits` is up to 7.

    Seven bits over four bands of 16: one band differs in at most one bit. So a hash is compared only with those that have a band in
    common with it, up to one bit: with 100,000 hashes that is about a hundred instead of all.
    """
    first_index: dict[int, int] = {}
    parent = [first_index.setdefault(value, index) for index, value in enumerate(hashes)]  # equal hashes are compared once
    for shift in _BANDS:
        buckets: dict[int, list[int]] = {}
        for value in first_index:
            buckets.setdefault(value >> shift & 0xFFFF, []).append(value)
        for part, members in buckets.items():
            near = members.copy()
            for bit in range(16):  # each pair of buckets once: from the one without the bit
                if not part >> bit & 1 and (others := buckets.get(part | 1 << bit)):
                    near += others
            if len(near) > 1:
                for value in members:
                    for other in near:
                        if (value ^ other).bit_count() <= max_bits and value != other:
                            _join(parent, first_index[value], first_index[other])
    found: dict[int, list[int]] = {}
    for index in range(len(hashes)):
        found.setdefault(_root(parent, index), []).append(index)
    return [group for group in found.values() if len(group) > 1]


def split(group: Sequence[int], are_alike: Callable[[int, int], bool]) -> list[list[int]]:
    """Split a group by a second criterion: each member joins the first part whose first member is alike. Parts of one are left out."""
    parts: list[list[int]] = []
    for member in group:
        for part in parts:
            if are_alike(part[0], member):
                part.append(member)
                break
        else:
            parts.append([member])
    return [part for part in parts if len(part) > 1]


def _join(parent: list[int], left: int, right: int) -> None:
    left, right = _root(parent, left), _root(parent, right)
    if left != right:
        parent[max(left, right)] = min(left, right)


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index
