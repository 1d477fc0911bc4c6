"""Draws the sleeves of the demo collection with Pillow alone. Call `draw`; a record always gets the same image."""

import io
import random
from importlib import import_module

from PIL import Image

from image_cache.demo.sleeves.canvas import Canvas
from image_cache.demo.sleeves.house import HOUSES, Subject
from image_cache.demo.sleeves.palettes import PALETTES
from image_cache.demo.sleeves.registry import FAMILIES

SIDE_PX = 800
QUALITY = 90
for _group in (
    "soul",
    "folk",
    "landscape",
    "country",
    "electronic",
    "postpunk",
    "street",
    "ambient",
    "psych",
    "classical",
    "dub",
    "jazz",
    "stage",
):
    import_module(f"image_cache.demo.genres.{_group}")

__all__ = ["FAMILIES", "SIDE_PX", "Subject", "draw", "encoded"]


def draw(subject: Subject, family: str, palette: str = "", size_px: int = SIDE_PX) -> Image.Image:
    """Return the square sleeve of a record. `palette` empty lets the record choose among those its family looks well in."""
    recipe, liked, grain = FAMILIES[family]
    rng = random.Random(f"{family}\n{subject.seed}")
    chosen = rng.choice(liked or HOUSES[subject.label].palettes)
    canvas = Canvas(size_px, PALETTES[palette or chosen], rng)
    recipe(canvas, subject)
    return canvas.finish(grain, subject.worn)


def encoded(picture: Image.Image, png: bool = False) -> bytes:
    """Return the image as a baseline JPEG, or as a PNG."""
    body = io.BytesIO()
    if png:
        picture.save(body, "PNG")
    else:
        picture.save(body, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return body.getvalue()
