"""A backup becomes a vault again: all of it is verified beside the place where it goes, and then renamed into it.

Until the last byte was compared nothing of what is there is touched; what is replaced is kept. Covers are registered with what
they were, so that the service fetches them again, politely, and notices those that have changed since.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.database import COMPANIONS, Database, DatabaseError, opened
from image_cache.errors import ArchiveRejected, StorageError, VaultNotEmpty
from image_cache.maintenance.backup.archive import ArchiveReader
from image_cache.maintenance.backup.contents import ASIDE, cache_files, is_secret, state_files
from image_cache.maintenance.backup.refetch_list import register_for_refetch
from image_cache.maintenance.backup.staging import Moves, Staging
from image_cache.storage.local import LocalStorage
from image_cache.streams.build import open_storage
from image_cache.streams.original_table import OriginalTable
from image_cache.vault_lock import exclusive, finish_moves, move_all

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], object]  # (bytes read, bytes in all, name of what is read)
ADDRESSES_AT_A_TIME = 400


@dataclass(slots=True)
class RestoreReport:
    """What came back. `missing` are originals that the catalogue names and the archive does not hold."""

    path: str
    made_at: str = ""
    schema: int = 0
    albums: int = 0
    plays: int = 0
    accounts: int = 0
    streams: int = 0
    images: int = 0
    originals: int = 0
    covers: int = 0
    has_secrets: bool = False
    has_cache: bool = False
    aside: str = ""
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def restore(settings: Settings, path: Path, *, force: bool = False, progress: Progress | None = None) -> RestoreReport:
    """Put a backup in place of an empty vault; with `force` also of one that is not, which is kept beside it.

    Every session ends: one that was closed since the backup must not be open again. Raises `Busy` while a service uses the
    vault, `VaultNotEmpty`, `ArchiveRejected` for what is no backup of ours or not whole, `StorageError`; then nothing changed.
    """
    path = Path(path).absolute()
    try:
        with exclusive(settings.state_dir):
            if finish_moves(settings.state_dir):
                logger.warning("a restore that was cut off was ended first")
            report = _Restore(settings, path, is_forced=force, progress=progress).run()
    except OSError as error:
        raise StorageError(str(error.filename or path), error.strerror or str(error)) from error
    except DatabaseError as error:
        raise StorageError(str(settings.catalog_path), str(error)) from error
    logger.info("backup restored path=%s albums=%s originals=%s", path, report.albums, report.originals)
    return report


class _Restore:
    """One restore under way."""

    def __init__(self, settings: Settings, path: Path, *, is_forced: bool, progress: Progress | None) -> None:
        self._settings = settings
        self._path = path
        self._is_forced = is_forced
        self._progress = progress
        self._report = RestoreReport(str(path))
        self._staging = Staging(settings, time.strftime("%Y%m%d-%H%M%S"))

    def run(self) -> RestoreReport:
        report, staging = self._report, self._staging
        found = what_is_there(self._settings)
        if found and not self._is_forced:
            raise VaultNotEmpty(str(self._settings.state_dir), found)
        staging.clean()
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                reader = ArchiveReader(file, self._path)
                report.made_at = str(reader.head.get("made_at", ""))
                report.has_cache = reader.head.get("is_full") is True
                staging.check_room(size)
                for member, chunks in reader.members():
                    self._check_place(member.name)
                    staging.write(member.name, chunks)
                    self._tell(file.tell(), size, member.name)
            self._check_catalog()
            self._check_originals()
            moves = self._moves()
            os.sync()  # what was staged outlives a power cut before its name says that it is there
            move_all(self._settings.state_dir, moves)
            report.covers = register_for_refetch(self._settings, self._staging, report.notes)
        finally:
            staging.clean()
        if not found:
            staging.forget_aside()
        if staging.aside.exists():
            report.aside = str(staging.aside)
        return report

    def _check_place(self, name: str) -> None:
        """Refuse what no backup of ours puts there: it would be hidden, or stand where something else belongs."""
        root, _, rest = name.partition("/")
        settings, is_single = self._settings, root in ("index.db", "covers.jsonl", "files.jsonl")
        is_well = root in self._staging.homes and bool(rest) is not is_single
        if is_well and rest:
            path = self._staging.homes[root] / rest
            is_well = not any(part.startswith((".", ASIDE)) for part in rest.split("/"))
            if root in ("state", "secrets"):
                apart = (settings.stream_images_dir, settings.cache_dir, settings.covers_dir, settings.files_dir)
                is_well = is_well and not any(path.is_relative_to(folder) for folder in apart)
                is_well = is_well and is_secret(settings, path) is (root == "secrets")
                # What SQLite would find beside the catalogue it would take for a part of it.
                is_well = is_well and (rest == "catalog.db" or not rest.startswith(settings.catalog_path.name))
        if not is_well:
            raise ArchiveRejected(str(self._path), f"{name[:80]!r} has no place in a vault")

    # --- the catalogue

    def _check_catalog(self) -> None:
        """See that it is whole and of our making, bring it to today's schema, and end its sessions."""
        staged, report = self._staging.path_of("state/catalog.db"), self._report
        try:
            with opened(staged) as conn:
                report.schema = int(conn.execute("PRAGMA user_version").fetchone()[0])
                if not 0 < report.schema <= len(MIGRATIONS):
                    reason = f"its catalogue has schema {report.schema}, this program knows 1 to {len(MIGRATIONS)}"
                    raise ArchiveRejected(str(self._path), reason)
                if conn.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                    raise ArchiveRejected(str(self._path), "its catalogue is damaged")
                found = _objects(conn)
            self._compare_schema(found)
            catalog = CatalogDatabase(staged)
            try:
                with catalog.write() as writing:
                    writing.execute("DELETE FROM sessions")
                    writing.execute("DELETE FROM tries")
                for name, table in (
                    ("albums", "albums"),
                    ("plays", "plays"),
                    ("accounts", "accounts"),
                    ("streams", "streams"),
                    ("images", "stream_images"),
                ):
                    row = catalog.row(f"SELECT count(*) FROM {table}")
                    setattr(report, name, row[0] if row else 0)
            finally:
                catalog.close()
        except DatabaseError as error:
            raise ArchiveRejected(str(self._path), f"its catalogue cannot be used ({error})") from error
        for copy in staged.parent.glob("catalog.db?*"):  # the archive is copy enough
            copy.unlink()

    def _compare_schema(self, found: dict[tuple[str, str], str]) -> None:
        """Refuse a catalogue with triggers, views or tables that no version of ours has: they would run with every change."""
        model = Database(self._staging.stages["state"] / ".model.db", MIGRATIONS[: self._report.schema], synchronous="OFF")
        try:
            with model.reading() as conn:
                expected = _objects(conn)
        finally:
            model.close()
            model.path.unlink()
        for (kind, name), text in expected.items():
            if (kind, name) not in found:
                raise ArchiveRejected(str(self._path), f"its catalogue has no {kind} {name}")
            if kind in ("trigger", "view") and found[kind, name] != text:
                raise ArchiveRejected(str(self._path), f"the {kind} {name} of its catalogue is not ours")
        for kind, name in found.keys() - expected.keys():
            raise ArchiveRejected(str(self._path), f"its catalogue has a {kind} {name[:80]!r} that is not ours")

    # --- what goes with it

    def _check_originals(self) -> None:
        """Compare the originals with the catalogue. One that it does not name was deleted while the backup was written: it goes."""
        catalog = CatalogDatabase(self._staging.path_of("state/catalog.db"))
        try:
            expected = {f"{original.file_path}": original.sha256 for original in OriginalTable(catalog).originals()}
        finally:
            catalog.close()
        storage = open_storage(self._settings)
        for name, path in self._staging.staged("originals"):
            if expected.pop(name, None) is None:
                path.unlink()
                continue
            self._report.originals += 1
            if not isinstance(storage, LocalStorage) and not storage.exists(name):
                storage.upload_file(path, name)  # before anything is replaced: names are unique, so it can be in nobody's way
        if isinstance(storage, LocalStorage):
            self._report.missing = sorted(expected)
        elif expected:
            self._report.notes.append(f"{len(expected):,} originals are not in the archive; they are looked for in the bucket.")

    def _moves(self) -> Moves:
        """Return the renames: what is there goes aside, what was staged goes in."""
        settings, staging, report = self._settings, self._staging, self._report
        out, into = staging.moves_aside("state"), staging.moves_in("state")
        if isinstance(open_storage(settings), LocalStorage):
            out += staging.moves_aside("originals")
            into += staging.moves_in("originals")
        for name, path in staging.staged("secrets"):
            home = settings.state_dir / name
            if name == "secret_key" and settings.secret_key_path != home:
                report.notes.append("The key that signs sessions was left where VINYL_VAULT_SECRET_KEY_FILE says.")
                continue
            if home.exists():
                out.append((home, staging.aside / name))
            into.append((path, home))
            report.has_secrets = True
        has_covers = next((True for _ in cache_files(settings.covers_dir)), False)
        if report.has_cache or not has_covers:
            # The numbers that the names of covers are made of come along, so that browsers keep theirs.
            out += staging.moves_aside("covers")
            into += staging.moves_in("covers")
            index, aside = settings.index_path, staging.aside_of("index.db")
            out += [
                (path, aside / path.name) for end in ("", *COMPANIONS) if (path := index.with_name(index.name + end)).exists()
            ]
            into += staging.moves_in("index.db")
        if report.has_cache:
            for root in ("streams", "files"):
                out += staging.moves_aside(root)
                into += staging.moves_in(root)
        return out + into

    def _tell(self, done: int, total: int, name: str) -> None:
        if self._progress is not None:
            self._progress(done, total, name)


def what_is_there(settings: Settings) -> str:
    """Say what a vault holds that somebody would miss; empty when it is as new."""
    try:
        if settings.catalog_path.exists():
            with opened(settings.catalog_path) as conn:
                tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master")}
                for table, word in (("albums", "records"), ("accounts", "accounts"), ("streams", "streams")):
                    count = conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0] if table in tables else 0
                    if count:
                        return f"it has {count:,} {word}"
    except DatabaseError:
        return "it has a catalogue that cannot be read"
    folder = settings.stream_images_dir
    if folder.is_dir() and any(
        not path.name.startswith(".") for path in folder.iterdir() if path.is_file() or any(path.iterdir())
    ):
        return "it has originals of streams"
    for name, _, is_key in state_files(settings, []):
        if not is_key:
            return f"it has the file {name}"
    return ""


def _objects(conn: Any) -> dict[tuple[str, str], str]:
    rows = conn.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(row["type"], row["name"]): row["sql"] or "" for row in rows}
