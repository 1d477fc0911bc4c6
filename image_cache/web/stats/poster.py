"""The year as an image to share: one SVG file with its font and covers in it, 1080 by 1350."""

import base64
from collections.abc import Mapping, Sequence

from markupsafe import escape

from image_cache.frozen import frozen
from image_cache.records.statistics.statistics import YearReview
from image_cache.resources import resource
from image_cache.sleeves.draw import drawn_sleeve
from image_cache.sleeves.lettering import advance
from image_cache.web.stats.drawing import colour_of

WIDTH, HEIGHT, EDGE = 1080, 1350, 56
COVER, GAP = 184, 12
GROUND, INK, QUIET = "#121110", "#eeede9", "#b9b6b1"


@frozen
class PosterRecord:
    """A record of the year: `cover` is its cover as WebP, None for a drawn sleeve."""

    artist: str
    title: str
    genre: str
    plays: int
    cover: bytes | None


def poster(found: YearReview, best: Sequence[PosterRecord], colours: Mapping[int, str]) -> str:
    """Draw the image of a year; `best` are its records, the most played first."""
    width = WIDTH / max(1, len(found.ribbon))
    bands = "".join(
        f'<path fill="{colour_of(album_id, colours)}" d="M{at * width:.2f} 452h{width + 0.4:.2f}v300H{at * width:.2f}z"/>'
        for at, album_id in enumerate(found.ribbon)
    )
    noun = "play" if found.plays == 1 else "plays"
    covers = "".join(_cover(record, EDGE + at * (COVER + GAP)) for at, record in enumerate(best[:5]))
    lines = "".join(
        _line(1066 + at * 62, f"{at + 1}  {record.artist}, {record.title}", f"{record.plays:,}")
        for at, record in enumerate(best[:4])
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" fill="{INK}"><style>{_styles()}</style>'
        f'<path fill="{GROUND}" d="M0 0h{WIDTH}v{HEIGHT}H0z"/><text class="n" x="{EDGE - 12}" y="350" font-size="400">{found.year}</text>'
        f'<text x="{EDGE}" y="416" font-size="34" fill="{QUIET}">{found.plays:,} {noun} of {found.records:,} records</text>'
        f'{bands}{covers}{lines}<text x="{EDGE}" y="1316" font-size="24" fill="{QUIET}">VinylVault</text></svg>\n'
    )


def _styles() -> str:
    font = base64.b64encode(resource("static/fonts/archivo-latin.woff2").read_bytes()).decode("ascii")
    return (
        f"@font-face{{font-family:Archivo;src:url(data:font/woff2;base64,{font});font-weight:400 600;font-stretch:75% 100%}}"
        f"text{{font-family:Archivo,sans-serif;font-stretch:75%}}.n{{font-weight:600;letter-spacing:-.05em}}"
        ".drawn text{font-weight:600;letter-spacing:-.02em;word-spacing:.06em}.drawn .w{font-stretch:100%}"
    )


def _cover(record: PosterRecord, x: int) -> str:
    place = f'x="{x}" y="808" width="{COVER}" height="{COVER}"'
    if record.cover is not None:
        source = base64.b64encode(record.cover).decode("ascii")
        return f'<image {place} preserveAspectRatio="xMidYMid slice" href="data:image/webp;base64,{source}"/>'
    return drawn_sleeve(record.artist, record.title, record.genre).replace("<svg ", f"<svg {place} ", 1)


def _line(y: int, words: str, count: str) -> str:
    size, room = 34, WIDTH - 2 * EDGE - 100
    while advance(words) * size > room:
        words = words[:-2].rstrip(" ,…") + "…"
    return (
        f'<text x="{EDGE}" y="{y}" font-size="{size}">{escape(words)}</text>'
        f'<text x="{WIDTH - EDGE}" y="{y}" font-size="{size}" text-anchor="end">{count}</text>'
    )
