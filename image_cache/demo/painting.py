"""From a record to the bytes of its image. Pillow is loaded with the first one, so an idle origin stays small."""

import random
from functools import lru_cache

from image_cache.demo.record import DemoRecord
from image_cache.demo.records import entries, picture_of

WORN = {"G+": 0.9, "VG": 0.5}  # how far the disc shows through, by the grade of the sleeve
NEAR = 7  # records that stand close enough on a wall to be compared at a glance


def paint(entry: DemoRecord, png: bool = False) -> bytes:
    """Return the encoded image of a record. Takes some tenths of a second on a small machine."""
    from image_cache.demo import sleeves

    catno, (width, height) = picture_of(entry)
    subject = sleeves.Subject(entry.artist, entry.title, entry.label, catno, entry.year, WORN.get(entry.sleeve, 0.0))
    picture = sleeves.draw(subject, *cast()[entry], size_px=max(width, height))
    if width != height:
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        picture = picture.crop((left, top, left + width, top + height))
    return sleeves.encoded(picture, png)


@lru_cache(maxsize=1)
def cast() -> dict[DemoRecord, tuple[str, str]]:
    """Return the family and the palette of every record.

    The family is written in the collection, and so may the palette be (`family/palette`). Otherwise it is the one its family has
    used least, that no neighbour wears, and that its house prefers, in this order.
    """
    from image_cache.demo.sleeves import FAMILIES
    from image_cache.demo.sleeves.house import HOUSES

    used: dict[tuple[str, str], int] = {}
    recent: list[str] = []
    parts: dict[DemoRecord, tuple[str, str]] = {}
    for entry in entries():
        family, _, palette = entry.family.partition("/")
        house = HOUSES[entry.label].palettes
        rng = random.Random(f"{entry.artist}\n{entry.title}")

        def weight(name: str, family: str = family, house: tuple[str, ...] = house, rng: random.Random = rng) -> float:
            return 3 * used.get((family, name), 0) + 1.6 * recent[-NEAR:].count(name) + (name not in house) + 0.1 * rng.random()

        palette = palette or min(FAMILIES[family].palettes or house, key=weight)
        used[family, palette] = used.get((family, palette), 0) + 1
        recent.append(palette)
        parts[entry] = (family, palette)
    return parts
