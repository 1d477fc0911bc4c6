"""Restore: a backup is verified in a staging folder beside the vault, and then renamed into place.

Nothing of the vault changes before the last byte was compared; replaced data is moved beside it. Covers are registered with their
old hashes, so that the service fetches them again within its limits, and notices those that changed since.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from image_cache.accounts.table import AccountTable
from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.connection import COMPANIONS, open_unchanged
from image_cache.db.database import Database, DatabaseError
from image_cache.db.integrity import is_intact, row_counts, schema_objects, schema_version
from image_cache.errors import ArchiveRejected, StorageError, VaultNotEmpty
from image_cache.maintenance.backup.archive import ArchiveReader
from image_cache.maintenance.backup.contents import ASIDE, cache_files, is_secret, refuse_server, separate_folders, state_files
from image_cache.maintenance.backup.refetch_list import register_for_refetch
from image_cache.maintenance.backup.staging import Moves, Staging
from image_cache.records.table import AlbumTable
from image_cache.storage.factory import open_storage
from image_cache.storage.local import LocalStorage
from image_cache.streams.original_table import OriginalTable
from image_cache.streams.table import StreamTable
from image_cache.vault_lock import exclusive, finish_moves, move_all

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], object]  # (bytes read, bytes in all, name of what is read)
# The tables that make a vault worth keeping, and what their rows are called.
PRECIOUS = {"albums": "records", "accounts": "accounts", "streams": "streams"}
SINGLE_FILES = ("index.db", "covers.jsonl", "files.jsonl")


@dataclass(slots=True)
class RestoreReport:
    """What was restored. `missing` are originals that the catalogue names and the archive does not hold."""

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
    """Replace an empty vault by a backup; with `force` also another vault, which is moved beside it.

    Every session ends: one that was closed since the backup must not be open again. Raises `Busy` while a service uses the
    vault, `VaultNotEmpty`, `ArchiveRejected` for a file that is not a complete backup, `StorageError`, `ConfigError` for a catalogue
    in PostgreSQL; then nothing changed.
    """
    refuse_server(settings)
    path = Path(path).absolute()
    try:
        with exclusive(settings.state_dir):
            if finish_moves(settings.state_dir):
                logger.warning("an interrupted restore was completed first")
            report = _Restore(settings, path, is_forced=force, progress=progress).run()
    except OSError as error:
        raise StorageError(str(error.filename or path), error.strerror or str(error)) from error
    except DatabaseError as error:
        raise StorageError(str(settings.catalog_path), str(error)) from error
    logger.info("backup restored path=%s albums=%s originals=%s", path, report.albums, report.originals)
    return report


class _Restore:
    """One running restore."""

    def __init__(self, settings: Settings, path: Path, *, is_forced: bool, progress: Progress | None) -> None:
        self._settings = settings
        self._path = path
        self._is_forced = is_forced
        self._progress = progress
        self._report = RestoreReport(str(path))
        self._staging = Staging(settings, time.strftime("%Y%m%d-%H%M%S"))

    def run(self) -> RestoreReport:
        report, staging = self._report, self._staging
        content = describe_content(self._settings)
        if content and not self._is_forced:
            raise VaultNotEmpty(str(self._settings.state_dir), content)
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
                    self._report_progress(file.tell(), size, member.name)
            self._check_catalog()
            self._check_originals()
            moves = self._moves()
            os.sync()  # the staged files are durable before a rename says that they are in place
            move_all(self._settings.state_dir, moves)
            report.covers = register_for_refetch(self._settings, self._staging, report.notes)
        finally:
            staging.clean()
        if not content:
            staging.forget_aside()
        if staging.aside.exists():
            report.aside = str(staging.aside)
        return report

    def _check_place(self, name: str) -> None:
        """Refuse a name that no backup has: the file would be hidden, or replace something else."""
        root, _, rest = name.partition("/")
        is_allowed = root in self._staging.homes and bool(rest) is not (root in SINGLE_FILES)
        if is_allowed and rest:
            is_allowed = not any(part.startswith((".", ASIDE)) for part in rest.split("/"))
            is_allowed = is_allowed and (root not in ("state", "secrets") or self._is_state(root, rest))
        if not is_allowed:
            raise ArchiveRejected(str(self._path), f"{name[:80]!r} does not belong in a VinylVault backup")

    def _is_state(self, root: str, rest: str) -> bool:
        settings = self._settings
        path = self._staging.homes[root] / rest
        if any(path.is_relative_to(folder) for folder in separate_folders(settings)):
            return False
        # SQLite would take whatever is named like the catalogue for a part of it.
        is_companion = rest != "catalog.db" and rest.startswith(settings.catalog_path.name)
        return is_secret(settings, path) is (root == "secrets") and not is_companion

    # --- the catalogue

    def _check_catalog(self) -> None:
        """Check that it is intact and has one of our schemas, migrate it, and end its sessions."""
        staged, report = self._staging.path_of("state/catalog.db"), self._report
        try:
            with open_unchanged(staged) as conn:
                report.schema = schema_version(conn)
                if not 0 < report.schema <= len(MIGRATIONS):
                    reason = f"it was made by a newer version (schema {report.schema}; this version supports 1 to {len(MIGRATIONS)}). Update VinylVault first"
                    raise ArchiveRejected(str(self._path), reason)
                if not is_intact(conn):
                    raise ArchiveRejected(str(self._path), "its catalogue is corrupt")
                found = schema_objects(conn)
            self._compare_schema(found)
            catalog = CatalogDatabase(staged)
            try:
                albums, accounts = AlbumTable(catalog), AccountTable(catalog)
                accounts.close_all_sessions()
                report.albums, report.plays, report.accounts = albums.count(), albums.count_plays(), accounts.count()
                report.streams, report.images = StreamTable(catalog).count_streams(), OriginalTable(catalog).count()
            finally:
                catalog.close()
        except DatabaseError as error:
            raise ArchiveRejected(str(self._path), f"its catalogue cannot be read ({error})") from error
        for copy in staged.parent.glob("catalog.db?*"):  # the archive is copy enough
            copy.unlink()

    def _compare_schema(self, found: dict[tuple[str, str], str]) -> None:
        """Refuse a catalogue with unknown triggers, views or tables: a trigger would run with every change."""
        model = Database(self._staging.stages["state"] / ".model.db", MIGRATIONS[: self._report.schema], synchronous="OFF")
        try:
            with model.reading() as conn:
                expected = schema_objects(conn)
        finally:
            model.close()
            model.path.unlink()
        for (kind, name), text in expected.items():
            if (kind, name) not in found:
                raise ArchiveRejected(str(self._path), f"its catalogue has no {kind} {name}")
            if kind in ("trigger", "view") and found[kind, name] != text:
                raise ArchiveRejected(str(self._path), f"its catalogue has a modified {kind} {name}; do not use this file")
        for kind, name in found.keys() - expected.keys():
            raise ArchiveRejected(str(self._path), f"its catalogue has an unexpected {kind} {name[:80]!r}; do not use this file")

    # --- what goes with it

    def _check_originals(self) -> None:
        """Compare the originals with the catalogue. One that it does not name was deleted while the backup was written."""
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
                storage.upload_file(path, name)  # before anything is replaced: names are unique, so it overwrites nothing
        if isinstance(storage, LocalStorage):
            self._report.missing = sorted(expected)
        elif expected:
            self._report.notes.append(
                f"{len(expected):,} original images are not in the backup; they are expected in the S3 bucket."
            )

    def _moves(self) -> Moves:
        """Return the renames: what the vault has is put aside, what was staged is put in place."""
        settings, staging, report = self._settings, self._staging, self._report
        out, into = staging.moves_aside("state"), staging.moves_in("state")
        if isinstance(open_storage(settings), LocalStorage):
            out += staging.moves_aside("originals")
            into += staging.moves_in("originals")
        for name, path in staging.staged("secrets"):
            home = settings.state_dir / name
            if name == "secret_key" and settings.secret_key_path != home:
                report.notes.append("The session key in VINYL_VAULT_SECRET_KEY_FILE was not changed.")
                continue
            if home.exists():
                out.append((home, staging.aside / name))
            into.append((path, home))
            report.has_secrets = True
        has_covers = next((True for _ in cache_files(settings.covers_dir)), False)
        if report.has_cache or not has_covers:
            # The numbers that cover URLs are made of are restored too, so that browsers keep their cached covers.
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

    def _report_progress(self, done: int, total: int, name: str) -> None:
        if self._progress is not None:
            self._progress(done, total, name)


def describe_content(settings: Settings) -> str:
    """Return what a vault holds that would be missed, in words; empty for a new one."""
    try:
        if settings.catalog_path.exists():
            with open_unchanged(settings.catalog_path) as conn:
                for table, count in row_counts(conn, PRECIOUS).items():
                    if count:
                        return f"it contains {count:,} {PRECIOUS[table]}"
    except DatabaseError:
        return "its catalogue cannot be read"
    folder = settings.stream_images_dir
    if folder.is_dir() and any(
        not path.name.startswith(".") for path in folder.iterdir() if path.is_file() or any(path.iterdir())
    ):
        return "it contains original images"
    for name, _, is_key in state_files(settings, []):
        if not is_key:
            return f"it contains {name}"
    return ""
