"""The rest of the demo: three streams, two files and a month of figures in its own vault, and one way to remove everything.

A vault is marked as a demo when `vinylvault demo` first finds it empty. Without the mark nothing here adds anything or lets
anyone in, and the mark is never set on a vault that holds something of its user.
"""

import datetime
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from image_cache.accounts.service import Accounts
from image_cache.config import Settings
from image_cache.covers.local_sources import SCHEME, DrawnCovers
from image_cache.db.catalog import CatalogDatabase, SettingsTable
from image_cache.engine.stats.counters import Latencies
from image_cache.engine.stats.history import KEPT_S, LONG_S, Sample, add_samples, remove_samples
from image_cache.errors import DuplicateImage, OriginUnavailable, UnknownFile
from image_cache.files.build import FileServices
from image_cache.frozen import frozen
from image_cache.importers.demo import DEMO, DemoImporter
from image_cache.importers.demo_extras import DemoExtras
from image_cache.models import Account, Viewer
from image_cache.streams import StreamImageManager, Upload
from image_cache.tasks.runner import Task

logger = logging.getLogger(__name__)

REST = "demo-rest"  # the kind of the task
NAME = "demo"  # of its account
# Names in the settings table.
MARK, STREAMS, IMAGES, FILES, EXTRAS = "demo.vault", "demo.streams", "demo.images", "demo.files", "demo.extras"
COVERS_FIRST_S = 8.0  # between two photographs while covers are queued: the wall is looked at first
DRAWN_AGAIN = 5
STOPPING_S = 10.0
DAY_S = 86_400.0


@frozen
class DemoContents:
    """What is made up in a vault, and would be removed. `kept_images` are uploads of a user among those of the demo."""

    records: int = 0
    streams: int = 0
    images: int = 0
    files: int = 0
    has_account: bool = False
    kept_images: int = 0
    wants: int = 0
    crates: int = 0

    def __bool__(self) -> bool:
        counts = (self.records, self.streams, self.images, self.files, self.wants, self.crates)
        return bool(any(counts) or self.has_account)

    def __str__(self) -> str:
        counts = (
            (self.records, "invented record"),
            (self.wants, "wanted record"),
            (self.crates, "crate"),
            (self.streams, "stream"),
            (self.images, "photograph"),
            (self.files, "file"),
        )
        parts = [f"{count:,} {name}{'' if count == 1 else 's'}" for count, name in counts if count]
        parts += ["a month of figures", "the account demo"] if self.has_account else []
        return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1] if parts else "") if part)


class DemoVault:
    """The demo of one vault. Any thread, several processes."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        demo: DemoImporter,
        drawn: DrawnCovers,
        *,
        accounts: Accounts,
        streams: StreamImageManager,
        files: FileServices,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._origin_url = settings.DEMO_ORIGIN
        self._rows = SettingsTable(catalog)
        self._demo = demo
        self._library, self._covers, self._tasks = demo.library, demo.covers, demo.tasks
        self._drawn = drawn
        self._accounts = accounts
        self._streams = streams
        self._files = files
        self._extras = DemoExtras(catalog, demo.library)
        self._clock = clock
        self._tasks.register(REST, self._fill)

    def prepare(self) -> bool:
        """Mark the vault as a demo and add its account, if it holds nothing but records of the demo; return True if it is a demo."""
        if self._mark() is not None:
            return True
        has_own = self._library.count() > self._demo.count() or self._accounts.accounts() or self._streams.rows.count_streams()
        if has_own or self._files.exists():
            return False
        account = self._accounts.add_made_up(NAME)
        self._write(MARK, {"account": account.id, "since": self._clock()})
        logger.info("demo vault marked account_id=%d", account.id)
        return True

    def start(self) -> None:
        """Add streams, files and figures in the background, as far as they were not added before."""
        if self._mark() is not None:
            self._tasks.start(REST, {})

    def account(self) -> Account | None:
        """Return the account that the one-click login opens; None unless `vinylvault demo` serves a demo vault that is no one's.

        It is someone's as soon as there is another operator.
        """
        mark = self._mark() if self._origin_url else None
        if mark is None:
            return None
        operators = [account for account in self._accounts.accounts() if account.role == "operator"]
        return operators[0] if [account.id for account in operators] == [mark["account"]] else None

    def contents(self) -> DemoContents:
        """Return what `remove` would remove."""
        mark, made = self._mark(), self._images()
        streams = [stream for slug in self._read(STREAMS, []) if (stream := self._streams.find_stream(slug)) is not None]
        images = [image.image_id for stream in streams for image in self._streams.queries.all_images(stream)]
        return DemoContents(
            self._demo.count(),
            len(streams),
            sum(image_id in made for image_id in images),
            len(self._read(FILES, [])),
            mark is not None and any(account.id == mark["account"] for account in self._accounts.accounts()),
            sum(image_id not in made for image_id in images),
            *self._extras.count(self._read(EXTRAS, {})),
        )

    def remove(self) -> DemoContents:
        """Remove everything made up and return what it was. A stream that holds an upload of a user stays, with that image."""
        self._stop()
        found, made = self.contents(), self._images()
        for slug in self._read(STREAMS, []):
            stream = self._streams.find_stream(slug)
            if stream is None:
                trashed = self._streams.trash.stream(slug)
                if trashed is not None and made.keys() >= set(self._streams.trash.image_ids(trashed.stream)):
                    self._streams.trash.delete_stream(trashed)
                continue
            images = self._streams.queries.all_images(stream)
            in_trash = self._streams.trash.image_ids(stream)
            if all(image_id in made for image_id in (*(image.image_id for image in images), *in_trash)):
                self._streams.delete_stream(stream)
            else:
                self._streams.trash.delete(stream, [image_id for image_id in in_trash if image_id in made])
                for image in images:
                    if image.image_id in made:
                        self._streams.delete_stream_image(slug, image.image_id)
        for digest in self._read(FILES, []):
            self._remove_file(digest)
        mark = self._mark()
        if mark is not None:
            remove_samples(self._covers.cache.index.database, mark["since"])
            self._accounts.remove_made_up(mark["account"])
        self._demo.remove()
        self._extras.remove(self._read(EXTRAS, {}))
        self._rows.set(dict.fromkeys((MARK, STREAMS, IMAGES, FILES, EXTRAS), ""))
        logger.info("demo removed records=%d streams=%d images=%d", found.records, found.streams, found.images)
        return found

    def claim_code(self) -> str | None:
        """Return the code that claims the vault once the demo's operator is gone; None if there is another operator."""
        return self._accounts.setup_code()

    # The task

    def _fill(self, task: Task) -> Mapping[str, Any]:
        """Add what is missing. Idempotent; what a user removed does not come back."""
        mark = self._mark()
        if mark is None:
            return {}
        self._add_plays(mark["since"])
        if not self._read(STREAMS, []):
            self._add_figures(mark["since"])
            self._add_streams(mark["account"])
        self._add_files()
        self._add_photographs(task, mark["since"])
        return {"says": "The streams and files of the demo are here."}

    def _add_figures(self, since: float) -> None:
        from image_cache.demo.figures import figures

        for span_s, kept_s in KEPT_S.items():
            made = [
                Sample(
                    at=found.at,
                    hits=found.hits,
                    misses=found.misses,
                    fetches=found.fetches,
                    failures=found.failures,
                    fetched_bytes=found.fetches * 60_000,
                    written_bytes=found.written_bytes,
                    entries=found.size_bytes // 40_000,
                    size_bytes=found.size_bytes,
                    queued=found.queued,
                    latency=_latencies(found.latency_ms),
                )
                for found in figures(span_s, int(kept_s - LONG_S), since)
            ]
            add_samples(self._covers.cache.index.database, span_s, made)

    def _add_plays(self, since: float) -> None:
        from image_cache.demo.plays import play_dates

        played = [album for album in self._library.albums() if album.source == DEMO and album.plays and not album.last_played_at]
        self._library.date_plays({album.id: play_dates(album.title, album.plays, since) for album in played})
        if self._demo.count() and not self._read(EXTRAS, {}):
            albums = [album for album in self._library.albums() if album.source == DEMO]
            self._write(EXTRAS, self._extras.add(albums, since))

    def _add_streams(self, account_id: int) -> None:
        from image_cache.demo.photographs import demo_streams

        made: list[str] = []
        for stream in reversed(demo_streams()):  # the newest is shown first
            if self._streams.find_stream(stream.slug) is None:
                owner = Viewer(account_id, NAME, "operator")
                self._streams.create_stream(
                    stream.title, stream.slug, description=stream.description, visibility=stream.visibility, owner=owner
                )
                made.append(stream.slug)
        self._write(STREAMS, made)

    def _add_files(self) -> None:
        from image_cache.demo.volumes import VOLUMES

        if self._origin_url and not self._read(FILES, []):
            self._write(FILES, [self._files.enqueue(f"{self._origin_url}/files/{name}") for name in VOLUMES])

    def _add_photographs(self, task: Task, since: float) -> None:
        from image_cache.demo.photographs import demo_streams, photographs, views_of

        streams = [(stream, self._streams.find_stream(stream.slug)) for stream in demo_streams()]
        made, count = self._images(), len(photographs())
        names = set(made.values())
        for place in range(max(len(stream.photographs) for stream, _ in streams)):
            for (slug, *_, shown), stream in streams:
                if stream is None or place >= len(shown) or shown[place].filename in names or slug not in self._read(STREAMS, []):
                    continue
                if place and self._covers.jobs.is_waiting():
                    task.pause(COVERS_FIRST_S, "Covers come first.")
                photograph = shown[place]
                task.progress(len(made), count, f"{len(made)} of {count} photographs")
                body = self._draw(task, photograph.filename)
                upload = Upload(body, photograph.filename, title=photograph.title, description=photograph.comment)
                try:
                    image_id = self._streams.upload(stream, upload).image_id
                except DuplicateImage as error:  # a crash came between the upload and its note
                    image_id = error.image_id
                made[image_id] = photograph.filename
                self._write(IMAGES, made)
                self._age(image_id, place, since, views_of(photograph, place))

    def _draw(self, task: Task, filename: str) -> bytes:
        """Return a photograph. Raises `OriginUnavailable` if a machine that is busy with other things cannot draw it several times."""
        for _ in range(DRAWN_AGAIN):
            try:
                return self._drawn.fetch(SCHEME + filename).body
            except OriginUnavailable:
                task.pause(COVERS_FIRST_S, "A photograph could not be drawn; it is tried again.")
        return self._drawn.fetch(SCHEME + filename).body

    def _age(self, image_id: str, place: int, since: float, views: list[int]) -> None:
        """Let an image look as if it had been there for a month."""
        rows = self._streams.rows
        rows.set_created_and_views(image_id, since - len(views) * DAY_S + place * 600, 0)
        today = datetime.datetime.fromtimestamp(since, datetime.UTC).date()
        days = {
            (image_id, (today - datetime.timedelta(days=back)).isoformat()): count
            for back, count in zip(range(len(views) - 1, -1, -1), views, strict=True)
            if count
        }
        rows.add_views(days, {image_id: since - place * 1700})

    def _stop(self) -> None:
        """End the task, if it runs in any process."""
        latest = self._tasks.latest(REST)
        if latest is not None and not latest.is_over:
            self._tasks.cancel(latest.id)
            self._tasks.wait(latest.id, STOPPING_S)

    def _remove_file(self, digest: str) -> None:
        for remove in (self._files.cancel, self._files.remove):
            try:
                remove(digest)
            except UnknownFile:
                continue

    # What is remembered

    def _mark(self) -> dict[str, Any] | None:
        found = self._read(MARK, None)
        return found if isinstance(found, dict) else None

    def _images(self) -> dict[str, str]:
        """Return the file names of the photographs by the id of their image."""
        return dict(self._read(IMAGES, {}))

    def _read(self, name: str, default: Any) -> Any:
        text = self._rows.values(name).get(name, "")
        return json.loads(text) if text else default

    def _write(self, name: str, value: object) -> None:
        self._rows.set({name: json.dumps(value)})


def _latencies(times_ms: tuple[int, ...]) -> Latencies:
    latency = Latencies()
    for ms in times_ms:
        latency.add(ms)
    return latency
