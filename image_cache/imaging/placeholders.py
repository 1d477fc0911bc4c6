"""Placeholders that are shown until a cover is there: `python -m image_cache.imaging.placeholders DIR` draws those under `static/`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from image_cache.imaging.pillow import webp
from image_cache.imaging.variants import cover_variants

SCALE = 4  # drawn larger and shrunk, for smooth circles


def write_placeholders(folder: Path) -> dict[str, int]:
    """Write one placeholder per variant, and the transparent one. Returns file names with their sizes in bytes."""
    files = {f"placeholder_{variant.name}.webp": placeholder(variant.edge_px) for variant in cover_variants()}
    files |= {"transparent.webp": transparent()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    return {name: len(body) for name, body in files.items()}


def transparent() -> bytes:
    """Return the answer to a miss: one transparent pixel, through which the drawn sleeve below shows."""
    return webp(Image.new("RGBA", (1, 1), (0, 0, 0, 0)), 85, 6)


def placeholder(edge_px: int) -> bytes:
    """Draw a plain inner sleeve: paper, and the record's label through the hole in the middle."""
    side = edge_px * SCALE
    sleeve = Image.new("RGB", (side, side), "#dcdad4")
    draw = ImageDraw.Draw(sleeve)

    def disc(radius: float, colour: str) -> None:
        centre, reach = side / 2, radius * side
        draw.ellipse((centre - reach, centre - reach, centre + reach, centre + reach), fill=colour)

    fold = max(SCALE, side // 100)
    draw.rectangle((0, side - fold, side, side), fill="#cfccc5")
    draw.rectangle((0, 0, fold, side), fill="#e4e2dd")
    for radius, colour in ((0.2, "#cdcac3"), (0.192, "#1b1a19"), (0.155, "#b9b5ac"), (0.15, "#c6c2b9"), (0.014, "#1b1a19")):
        disc(radius, colour)
    return webp(sleeve.resize((edge_px, edge_px), Image.Resampling.LANCZOS), 90, 6)


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m image_cache.imaging.placeholders DIR\n")
        return 2
    for name, size in write_placeholders(Path(arguments[0])).items():
        sys.stdout.write(f"{name} {size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
