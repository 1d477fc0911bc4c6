"""The collection as one HTML file for the phone: it needs no network and no server, only a browser.

It holds what every visitor of the wall may see, of the collection and the wantlist: artist, title, year, label, catalogue number
and tiny covers. Notes, prices, plays and addresses are left out.
"""

import base64
import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, Protocol

from image_cache.covers import ImageCache
from image_cache.errors import CacheError, ImageRejected
from image_cache.filesystem import make_folder, replacing
from image_cache.frozen import frozen
from image_cache.imaging.variants import Rendered, Variant
from image_cache.models import Album, Cover, TaskState
from image_cache.records.library import Library
from image_cache.resources import resource
from image_cache.tasks.runner import Task, TaskRunner

KIND = "take-along"  # of its task
MAX_BYTES = 5_000_000
ROW_BYTES = 260  # of a record without an image, on the large side
AT_A_TIME = 60  # records whose covers are looked up together
# The smaller one for collections whose covers would not fit else.
TINY = (Variant("tiny", 48, quality=50, method=4), Variant("tiny", 32, quality=40, method=4))
LARGE_COLLECTION = 4000
_SAVED_FROM = "thumbnails-2x"
_NO_COVER = Cover("", "none")


class Renderer(Protocol):
    """The decoder, as far as it is needed here."""

    def render(self, body: bytes, variants: list[Variant]) -> Rendered: ...


@frozen
class TakeAlongFile:
    """A file that was written. `size` in bytes; `written_at` in Unix seconds."""

    records: int
    covers: int
    size: int
    written_at: float


class TakeAlong:
    """Writes the file, as a task or for a command. Any thread; memory does not grow with the collection."""

    def __init__(
        self,
        folder: Path,
        library: Library,
        covers: ImageCache,
        *,
        decoder: Renderer,
        tasks: TaskRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = folder / "take-along.html"
        self._library = library
        self._covers = covers
        self._decoder = decoder
        self._tasks = tasks
        self._clock = clock
        tasks.register(KIND, self._run)

    def start(self) -> int:
        """Start writing the file that pages offer, unless it is being written; return the task."""
        return self._tasks.start(KIND, {})

    def latest(self) -> TaskState | None:
        return self._tasks.latest(KIND)

    def written_at(self) -> float | None:
        """Return when the file that pages offer was written, None if there is none."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return None

    def write(self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> TakeAlongFile:
        """Write the collection to `path`; `progress` gets the records so far and all of them. Raises `OSError`."""
        total = self._library.count()
        size = covers = done = 0
        with replacing(path) as file:
            for piece in self._head(total):
                size += file.write(piece.encode())
            for albums in self._library.in_order(AT_A_TIME):
                known = self._covers.peek([album.picture for album in albums])
                for album, cover in zip(albums, known, strict=True):
                    room = (MAX_BYTES - size) // max(1, total - done) - ROW_BYTES
                    picture, is_cover = self._picture(album, cover, room, TINY[total > LARGE_COLLECTION])
                    size += file.write(_row(album, picture).encode())
                    covers += is_cover
                    done += 1
                progress(done, total)
            for piece in self._wanted(size):
                size += file.write(piece.encode())
            size += file.write(self._foot().encode())
        return TakeAlongFile(done, covers, size, self._clock())

    def _picture(self, album: Album, cover: Cover, room: int, variant: Variant) -> tuple[str, bool]:
        """Return the cover as a tiny image, else a drawn sleeve, else an empty square: what fits into `room` bytes."""
        if cover.state == "ready" and room > 400 and (body := self._covers.get(cover.digest, _SAVED_FROM)) is not None:
            try:
                tiny = self._decoder.render(body, [variant]).variants["tiny"]
            except (CacheError, ImageRejected):
                tiny = b""
            source = base64.b64encode(tiny).decode("ascii")
            if tiny and len(source) < room:
                return f'<img alt="" width="44" height="44" loading="lazy" src="data:image/webp;base64,{source}">', True
        from image_cache.sleeves.draw import drawn_sleeve

        drawn = drawn_sleeve(album.artist, album.title, ", ".join(album.genres)) if room > 400 else ""
        return (drawn, False) if 0 < len(drawn.encode()) < max(room, 0) else ("<s></s>", False)

    def _wanted(self, size: int) -> Iterator[str]:
        """Yield the wantlist, with drawn sleeves while there is room. Its notes stay at home."""
        wants = self._library.wants.table.wanted()
        if not wants:
            return
        yield f"</ol><h2>Wantlist<small>{len(wants):,}</small></h2><ol>\n"
        room = (MAX_BYTES - size) // len(wants) - ROW_BYTES
        for want in wants:
            album = want.as_album()
            yield _row(album, self._picture(album, _NO_COVER, room, TINY[1])[0], "w")

    def _head(self, total: int) -> Iterator[str]:
        day = _day(self._clock())
        yield (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
            f'<meta name="color-scheme" content="light dark"><title>Records, {day}</title><style>'
        )
        for name, range_ in (("latin", "U+0-FF,U+131,U+152-153,U+2010-2044,U+20AC"), ("latin-ext", "U+100-24F,U+1E02-1EF9")):
            font = base64.b64encode(resource(f"static/fonts/archivo-{name}.woff2").read_bytes()).decode("ascii")
            yield (
                f'@font-face{{font-family:Archivo;src:url(data:font/woff2;base64,{font}) format("woff2");'
                f"font-weight:400 600;font-stretch:75% 100%;unicode-range:{range_}}}"
            )
        yield resource("static/take_along/style.css").read_text(encoding="utf-8")
        yield (
            f"</style></head><body><header><h1>Records<small>{total:,}, {day}</small></h1>"
            '<input type="search" aria-label="Search these records" placeholder="Do I have it?" autocomplete="off" hidden></header>'
            '<main><p id="none" role="status" hidden></p><ol>\n'
        )

    def _foot(self) -> str:
        script = resource("static/take_along/search.js").read_text(encoding="utf-8")
        return (
            f"</ol></main><footer>Written by VinylVault on {_day(self._clock())}. This file needs no network."
            f" Records that were added later are not in it.</footer><script>{script}</script></body></html>\n"
        )

    def _run(self, task: Task) -> Mapping[str, Any]:
        """The task. Run again after a stop, it restarts."""
        make_folder(self.path.parent)
        written = self.write(self.path, lambda done, total: task.progress(done, total, f"{done:,} of {total:,} records"))
        says = f"{written.records:,} {'record' if written.records == 1 else 'records'} in {written.size / 1e6:.1f} MB."
        return {"records": written.records, "covers": written.covers, "bytes": written.size, "says": says}


def _row(album: Album, picture: str, kind: str = "") -> str:
    facts = [escape(str(fact)[:80]) for fact in (album.year, " ".join(filter(None, (album.label, album.catno)))) if fact]
    marked = f' class="{kind}"' if kind else ""
    return f"<li{marked}>{picture}<p><b>{escape(album.artist[:300])}</b><span>{escape(album.title[:300])}</span></p><i>{'<br>'.join(facts)}</i></li>\n"


def _day(at: float) -> str:
    when = datetime.datetime.fromtimestamp(at).astimezone()
    return f"{when.day} {when:%B %Y}"
