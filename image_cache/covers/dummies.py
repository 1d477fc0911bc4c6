"""Addresses and sizes of pictures that services give out when they have none. Facts about those services, nothing else."""

import re

MOST_DUMMY_PX = 40  # no sleeve is as small as this; a blank is 1, an icon 16 or 32
# Names that services give to the picture of nothing; the star of Last.fm is known by its hash.
_NAMES = re.compile(
    r"(?:^|[/_-])(?:spacer|blank|transparent|pixel|no[-_]?(?:cover|image|art|photo|picture)(?:[-_]?(?:available|found))?"
    r"|default[-_](?:release|album|cover)[a-z0-9_-]*|missing[-_](?:cover|art|image)|placeholder)\.(?:gif|png|jpe?g|webp|svg)$"
    r"|2a96cbd8b46e442fc41c2b86b821562f",
    re.IGNORECASE,
)


def is_dummy_address(url: str) -> bool:
    """Tell whether an address names the picture of nothing."""
    return _NAMES.search(url.partition("?")[0].partition("#")[0]) is not None


def is_dummy_size(width: int, height: int) -> bool:
    """Tell whether a picture is too small to be a sleeve."""
    return max(width, height) <= MOST_DUMMY_PX
