"""Sleeves that look the same: hashes that differ in a few bits, found without comparing each with each."""

from collections.abc import Callable, Sequence

MOST_BITS = 7  # of 64: another scan or size of a sleeve differs in 0 to 6, another sleeve in 20 and more
_BANDS = (0, 16, 32, 48)


def groups(hashes: Sequence[int], most_bits: int = MOST_BITS) -> list[list[int]]:
    """Return the places of hashes that belong together, each group in order, groups by their first place. `most_bits` up to 7.

    Seven bits over four bands of 16: one band differs in one bit at most. So a hash has to meet only those that share a band
    with it but for one bit: with 100,000 of them about a hundred instead of all.
    """
    first_at: dict[int, int] = {}
    parent = [first_at.setdefault(value, at) for at, value in enumerate(hashes)]  # equal ones meet the others once
    for shift in _BANDS:
        buckets: dict[int, list[int]] = {}
        for value in first_at:
            buckets.setdefault(value >> shift & 0xFFFF, []).append(value)
        for part, members in buckets.items():
            near = members.copy()
            for bit in range(16):  # each pair of buckets meets once: from the one without the bit
                if not part >> bit & 1 and (others := buckets.get(part | 1 << bit)):
                    near += others
            if len(near) > 1:
                for value in members:
                    for other in near:
                        if (value ^ other).bit_count() <= most_bits and value != other:
                            _join(parent, first_at[value], first_at[other])
    found: dict[int, list[int]] = {}
    for at in range(len(hashes)):
        found.setdefault(_root(parent, at), []).append(at)
    return [group for group in found.values() if len(group) > 1]


def split(group: Sequence[int], are_alike: Callable[[int, int], bool]) -> list[list[int]]:
    """Divide a group by a second opinion: everybody stays with the first one that he is alike. Groups of one are left out."""
    parts: list[list[int]] = []
    for one in group:
        for part in parts:
            if are_alike(part[0], one):
                part.append(one)
                break
        else:
            parts.append([one])
    return [part for part in parts if len(part) > 1]


def _join(parent: list[int], one: int, other: int) -> None:
    mine, theirs = _root(parent, one), _root(parent, other)
    if mine != theirs:
        parent[max(mine, theirs)] = min(mine, theirs)


def _root(parent: list[int], at: int) -> int:
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at
