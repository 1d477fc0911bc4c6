"""The families of sleeves by name. A recipe is a function that draws a subject on a canvas; `family` enters it here."""

from collections.abc import Callable
from typing import NamedTuple

from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import Subject

Recipe = Callable[[Canvas, Subject], None]


class Family(NamedTuple):
    """`palettes` are those it looks well in (empty: the house's), `grain` is how much of the paper shows, 0 to 1."""

    recipe: Recipe
    palettes: tuple[str, ...]
    grain: float


FAMILIES: dict[str, Family] = {}


def family(palettes: str = "", grain: float = 0.3) -> Callable[[Recipe], Recipe]:
    def enter(recipe: Recipe) -> Recipe:
        FAMILIES[recipe.__name__] = Family(recipe, tuple(palettes.split()), grain)
        return recipe

    return enter
