"""The 40 photographs of the demo's streams: `photographs.txt` says what is on them, `scenes` draws them.

Like the sleeves, they follow from their names: every vault shows the same ones. Pillow is loaded with the first that is drawn.
"""

import random
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SIDE_PX = 720
SHAPES = {"landscape": (720, 540), "portrait": (540, 720)}
WIDE = ("amplifier", "window")  # cut off at their sides they would say nothing
CENTRED = ("amplifier", "window", "turntable", "crate")  # the others stand on the lower edge
DAYS = 30  # how many days of views there are


class Photograph(NamedTuple):
    """One photograph; `comment` may be empty."""

    scene: str
    palette: str
    title: str
    comment: str

    @property
    def filename(self) -> str:
        """Its name as an upload, and in the addresses of the demo's studio: `photo-stage-side-a.jpg`."""
        from image_cache.demo.records import slug_of

        return f"photo-{slug_of(self.scene, self.title)}.jpg"


class DemoStream(NamedTuple):
    """A stream as written down. `visibility` is public, subscribers or private."""

    slug: str
    visibility: str
    title: str
    description: str
    photographs: tuple[Photograph, ...]


@lru_cache(maxsize=1)
def demo_streams() -> tuple[DemoStream, ...]:
    """Return the three streams with their photographs, in order."""
    streams: list[tuple[list[str], list[Photograph]]] = []
    for text in (HERE / "photographs.txt").read_text(encoding="utf-8").splitlines():
        if text.startswith("= "):
            streams.append(([part.strip() for part in text[2:].split("|")], []))
        elif text and not text.startswith("#"):
            look, title, comment = (part.strip() for part in text.split("|"))
            scene, _, palette = look.partition("/")
            streams[-1][1].append(Photograph(scene, palette, title, comment))
    return tuple(
        DemoStream(slug, visibility, title, description, tuple(found))
        for (slug, visibility, title, description), found in streams
    )


@lru_cache(maxsize=1)
def photographs() -> dict[str, Photograph]:
    """Return all photographs by their file name."""
    return {photograph.filename: photograph for stream in demo_streams() for photograph in stream.photographs}


def draw_photograph(photograph: Photograph) -> bytes:
    """Return the photograph as a JPEG. Takes some tenths of a second on a small machine."""
    from image_cache.demo import sleeves
    from image_cache.demo.scenes import SCENES
    from image_cache.demo.sleeves.canvas import Canvas
    from image_cache.demo.sleeves.palettes import PALETTES

    rng = random.Random(photograph.filename)
    canvas = Canvas(SIDE_PX, PALETTES[photograph.palette], rng)
    SCENES[photograph.scene](canvas)
    is_portrait = photograph.scene == "singer" or (photograph.scene not in WIDE and rng.random() < 0.15)
    width, height = SHAPES["portrait" if is_portrait else "landscape"]
    left, top = (SIDE_PX - width) // 2, SIDE_PX - height
    if photograph.scene in CENTRED:
        top //= 2
    return sleeves.encoded(canvas.finish(grain=0.35).crop((left, top, left + width, top + height)))


def views_of(photograph: Photograph, place: int) -> list[int]:
    """Return the views of each of the last `DAYS` days, the oldest first; `place` is that in its stream, from 0."""
    rng = random.Random(f"views\n{photograph.filename}")
    liked = rng.uniform(1.5, 6) / (1 + place / 8)  # the first ones of a stream are seen most
    return [int(rng.expovariate(1) * liked * (1.8 if day % 7 in (5, 6) else 1) * (0.4 + day / DAYS)) for day in range(DAYS)]
