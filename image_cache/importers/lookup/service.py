"""Lookup of one record: by barcode, catalogue number or words, in the collection first, then at Discogs and MusicBrainz.

The services are asked by a task, never by a request. What they do not answer is said; what one of them finds is offered.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import FieldRejected, OfferGone, OriginError, SourceRefused, UnknownTask
from image_cache.frozen import frozen
from image_cache.imaging.decoder import Decoder
from image_cache.import_models import ImportRow
from image_cache.importers.artwork.musicbrainz import INTERVAL_S, MusicBrainz, Release
from image_cache.importers.discogs.connection import DiscogsConnection
from image_cache.importers.discogs.parse import SOURCE as DISCOGS
from image_cache.importers.discogs.parse import usable_cover_url
from image_cache.importers.discogs.parse_search import FoundRelease
from image_cache.importers.intervals import open_interval
from image_cache.importers.lookup.barcodes import barcode_of, spellings
from image_cache.importers.lookup.having import HavingReader
from image_cache.importers.lookup.table import OwnedTable
from image_cache.models import Album, AlbumQuery, TaskState
from image_cache.net.json_api import JsonApiClient
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.records.library import Library
from image_cache.records.table import AlbumTable
from image_cache.tasks.runner import Task, TaskRunner

KINDS = ("lookup", "lookup-2", "lookup-3")  # so many people may look something up at a time
MAX_CHARS = 120
MAX_CANDIDATES = 12
MAX_OWNED = 6
STEP_S = 0.25
MUSICBRAINZ = "musicbrainz"


@frozen
class Candidate:
    """A release that may be the record. `source` and `id` say where it was found; `cover` is its address, "" if it has none."""

    source: str
    id: str
    artist: str
    title: str
    year: str = ""
    country: str = ""
    label: str = ""
    catno: str = ""
    format: str = ""
    genre: str = ""
    barcode: str = ""
    cover: str = ""

    @property
    def facts(self) -> str:
        """What tells it from others alike: label, number, year, country, format."""
        return " · ".join(filter(None, (self.label, self.catno, self.year, self.country, self.format)))


@frozen
class Lookup:
    """A lookup and what came of it. `barcode` is "" for words. `problems` are sentences about services that did not answer."""

    id: int
    text: str
    barcode: str
    is_sure: bool
    is_over: bool
    candidates: tuple[Candidate, ...] = ()
    problems: tuple[str, ...] = ()


class RecordLookup:
    """Looks records up. Any thread."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        decoder: Decoder,
        *,
        library: Library,
        fetcher: LazyHttpClient,
        discogs: DiscogsConnection,
        tasks: TaskRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._decoder = decoder
        self.having = HavingReader(catalog, library)
        self._owned = OwnedTable(catalog)
        self._albums = AlbumTable(catalog)
        self._library = library
        self._fetcher = fetcher
        self._discogs = discogs
        self._tasks = tasks
        self._clock = clock
        for kind in KINDS:
            tasks.register(kind, self._run)

    def start(self, text: str, *, is_sure: bool = True) -> int:
        """Look a text up; return the task. `is_sure` False: a barcode that was seen only once. Raises `FieldRejected`."""
        text = " ".join(text.split())
        if not text or not text.isprintable():
            raise FieldRejected("q", "Type a number, an artist or a title.")
        if len(text) > MAX_CHARS:
            raise FieldRejected("q", f"The text must have at most {MAX_CHARS} characters, not {len(text)}.")
        busy = {state.kind for state in self._tasks.open()}
        kind = next((one for one in KINDS if one not in busy), None)
        if kind is None:
            raise FieldRejected("q", "Others are looking records up. Try again in a few seconds.")
        return self._tasks.start(kind, {"text": text, "is_sure": is_sure})

    def read_photo(self, photo: bytes, *, wait_s: float) -> tuple[str, bool]:
        """Return the digits of the barcode in a photograph; see `Decoder.barcode`."""
        return self._decoder.barcode(photo, wait_s=wait_s)

    def get(self, task_id: int) -> Lookup:
        """Raises `UnknownTask`."""
        state = self._tasks.get(task_id)
        if state is None or state.kind not in KINDS:
            raise UnknownTask(task_id)
        return _lookup(state)

    def owned(self, text: str) -> list[Album]:
        """Return records of the collection that a text means, the likeliest first."""
        code = barcode_of(text)
        if code:
            return self._albums.albums(self._owned.with_barcode(spellings(code))[:MAX_OWNED], tracks=False)
        return list(self._library.page(AlbumQuery(text=text), 1).albums[:MAX_OWNED])

    def known(self, candidate: Candidate) -> Album | None:
        """Return the record of the collection that a candidate is."""
        return self._albums.by_identity(candidate.source, candidate.id)

    def choose(self, task_id: int, number: int) -> tuple[int, bool]:
        """Add a candidate; return the id of the record, and whether it is new. Raises `UnknownTask`, `OfferGone`."""
        candidate = self._candidate(task_id, number)
        before = self.known(candidate)
        if before is not None:
            return before.id, False
        self._library.hidden.show_identity(candidate.source, candidate.id)
        self._library.import_rows([_row(candidate)])
        made = self.known(candidate)
        if made is None:  # removed at this very moment
            raise OfferGone
        return made.id, True

    def offer(self, task_id: int, number: int) -> ImportRow:
        """Return a candidate as a row. Raises `UnknownTask`, `OfferGone`."""
        return _row(self._candidate(task_id, number))

    def _candidate(self, task_id: int, number: int) -> Candidate:
        found = self.get(task_id)
        if not 0 <= number < len(found.candidates):
            raise OfferGone
        return found.candidates[number]

    def _run(self, task: Task) -> Mapping[str, Any]:
        text = str(task.wanted["text"])
        candidates: dict[tuple[str, str], Candidate] = {}
        problems: list[str] = []
        for name, ask in (("Discogs", self._at_discogs), ("MusicBrainz", self._at_musicbrainz)):
            try:
                for one in ask(task, text):
                    candidates.setdefault((one.source, one.id), one)
            except SourceRefused as error:
                problems.append(error.reason)
            except OriginError as error:
                problems.append(f"{name} did not respond ({error.reason}).")
        shown = list(candidates.values())[:MAX_CANDIDATES]
        return {"says": "Looked up.", "candidates": [dataclasses.asdict(one) for one in shown], "problems": problems}

    def _at_discogs(self, task: Task, text: str) -> Iterator[Candidate]:
        if not self._discogs.tokens.exists():
            return
        client, code = self._discogs.client(task), barcode_of(text)
        found: list[FoundRelease] = []
        if code:
            found = client.search(barcode=code) or client.search(q=code)
            found = [one for one in found if not set(one.barcodes).isdisjoint(spellings(code))]
        elif any(char.isdigit() for char in text):
            found = client.search(catno=text)
        for one in found or ([] if code else client.search(q=text)):
            cover = usable_cover_url(one.cover) or ""
            facts = (one.year, one.country, one.label, one.catno, one.format, one.genre)
            yield Candidate(DISCOGS, one.id, one.artist, one.title, *facts, code or next(iter(one.barcodes), ""), cover)

    def _at_musicbrainz(self, task: Task, text: str) -> Iterator[Candidate]:
        def wait(seconds: float) -> None:
            end = time.monotonic() + seconds
            task.check()
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(STEP_S, left))
                task.check()

        limit = open_interval(self._settings, self._catalog, "musicbrainz", INTERVAL_S, clock=self._clock)
        client = MusicBrainz(JsonApiClient(self._fetcher, self._settings.MUSICBRAINZ_API_URL, {}), limit, wait)
        code = barcode_of(text)
        for one in client.by_barcode(code) if code else client.by_words(text):
            yield _of_musicbrainz(one, code)


def _of_musicbrainz(release: Release, code: str) -> Candidate:
    facts = (release.year, release.country, release.release_label, release.catno, release.format)
    return Candidate(MUSICBRAINZ, release.mbid, release.artist, release.title, *facts, barcode=code or release.barcode)


def _row(candidate: Candidate) -> ImportRow:
    year = int(candidate.year) if candidate.year.isdigit() and 1800 <= int(candidate.year) <= 2199 else None
    return ImportRow(
        1,
        candidate.title or "Untitled",
        candidate.artist,
        source=candidate.source,
        source_id=candidate.id,
        year=year,
        label=candidate.label or None,
        catno=candidate.catno or None,
        formats=tuple(filter(None, candidate.format.split(", "))) or None,
        genres=tuple(filter(None, candidate.genre.split(", "))) or None,
        barcode=candidate.barcode or None,
        mbid=candidate.id if candidate.source == MUSICBRAINZ else None,
        cover_url=candidate.cover or None,
    )


def _lookup(state: TaskState) -> Lookup:
    text, outcome = str(state.wanted["text"]), state.outcome
    problems = tuple(outcome.get("problems", ())) or ((state.message,) if state.state in ("failed", "cancelled") else ())
    candidates = tuple(Candidate(**one) for one in outcome.get("candidates", ()))
    is_sure = state.wanted.get("is_sure") is not False
    return Lookup(state.id, text, barcode_of(text), is_sure, state.is_over, candidates, problems)
