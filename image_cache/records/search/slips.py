"""Slips of the keyboard: how many letters two words differ in. No I/O."""

MIN_CHARS = 4  # shorter words have too many neighbours
TWO_SLIPS_CHARS = 7  # from this length on two slips are forgiven


def distance(left: str, right: str, limit: int) -> int:
    """Return in how many letters two words differ (missing, added, other, or two changed places), `limit + 1` for more.

    Source: optimal string alignment, as in R. A. Wagner and R. Lowrance, "An Extension of the String-to-String Correction Problem".
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        line = [row]
        for column, other in enumerate(right, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > limit:
            return limit + 1
        before, above = above, line
    return min(above[-1], limit + 1)


def half(word: str) -> int:
    """Return how many letters one slip leaves whole, at the beginning of a word or at its end."""
    return (len(word) - 1) // 2
