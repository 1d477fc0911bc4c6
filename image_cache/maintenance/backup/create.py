"""Backup: one file with everything that cannot be fetched again, written while the service runs.

The catalogue is a snapshot; the originals that it names are all in the file, even if images were added and deleted meanwhile.
Covers are not in it: their URLs and hashes are, and a restored vault fetches them again.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from image_cache.config import Settings
from image_cache.db.catalog_schema import MIGRATIONS
from image_cache.db.connection import copy_into, open_unchanged
from image_cache.db.database import DatabaseError
from image_cache.db.integrity import schema_version
from image_cache.errors import FolderMissing, StorageError
from image_cache.maintenance.backup.archive import ArchiveWriter, SourceFailed, chunks_of
from image_cache.maintenance.backup.contents import cache_files, refuse_server, state_files
from image_cache.maintenance.backup.refetch_list import cover_lines, file_lines
from image_cache.maintenance.backup.restore import RestoreReport, restore
from image_cache.maintenance.backup.staging import publish, written_alone
from image_cache.models import iso_utc
from image_cache.storage.base import Storage
from image_cache.storage.factory import open_storage
from image_cache.storage.local import LocalStorage
from image_cache.streams.original_table import StoredOriginal, originals_in

__all__ = ["BackupReport", "RestoreReport", "back_up", "restore"]

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], object]  # (bytes written, bytes expected, name of what is written)
MAX_SNAPSHOTS = 5  # of the catalogue, until every original that the last one names was there
MAX_READS = 3  # of a file that changes while it is read
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True)
class BackupReport:
    """What a backup holds. `left_out` are secrets that were not requested; `missing` and `damaged` originals were so before."""

    path: str
    made_at: float
    size_bytes: int = 0
    members: int = 0
    originals: int = 0
    state_files: int = 0
    covers: int = 0
    cache_files: int = 0
    secrets: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def back_up(
    settings: Settings,
    path: Path,
    *,
    secrets: bool = False,
    full: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> BackupReport:
    """Write a backup to `path`, mode 0600, complete or not at all; the service may run.

    `secrets` adds the key that signs sessions and the tokens; `full` the cache, and the originals that are in a bucket. Raises
    `FolderMissing`, `StorageError` (no room, the file exists, a catalogue that cannot be read), `Busy`, or `ConfigError`.
    """
    refuse_server(settings)
    path = Path(path).absolute()
    part = path.with_name(f"{path.name}.part")
    try:
        if os.path.lexists(path) and not overwrite:
            raise StorageError(str(path), "a file with this name already exists")
        if not path.parent.exists():
            raise FolderMissing(str(path.parent))
        with written_alone(part) as file:
            try:
                report = BackupReport(str(path), clock())
                _Backup(settings, report, file, is_full=full, has_secrets=secrets, progress=progress).run()
                report.size_bytes = part.stat().st_size
                publish(part, path, overwrite=overwrite)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error
    except DatabaseError as error:
        raise StorageError(str(settings.catalog_path), str(error)) from error
    logger.info("backup written path=%s bytes=%s originals=%s", path, report.size_bytes, report.originals)
    return report


class _Backup:
    """One running backup."""

    def __init__(
        self,
        settings: Settings,
        report: BackupReport,
        file: BinaryIO,
        *,
        is_full: bool,
        has_secrets: bool,
        progress: Progress | None,
    ) -> None:
        self._settings = settings
        self._report = report
        self._file = file
        self._is_full = is_full
        self._has_secrets = has_secrets
        self._progress = progress
        self._storage: Storage = open_storage(settings)
        self._copy = Path(file.name).with_name(f"{Path(file.name).name}.catalog")
        self._done: set[str] = set()
        self._expected = 0

    def run(self) -> None:
        settings, report = self._settings, self._report
        if not settings.catalog_path.exists():
            raise StorageError(str(settings.catalog_path), "nothing to back up: there is no catalogue yet")
        self._expected = self._estimate()
        self._check_room()
        head = {
            "made_at": iso_utc(report.made_at),
            "storage": settings.STORAGE,
            "is_full": self._is_full,
            "has_secrets": self._has_secrets,
            "schema": self._schema(),
        }
        writer = ArchiveWriter(self._file, head)
        try:
            self._add_catalog(writer)
            self._add_state(writer)
            self._add_register(writer)
            if self._is_full:
                self._add_cache(writer)
            writer.finish()
            report.members = writer.members
        finally:
            writer.close()
            for path in (self._copy, self._copy.with_name(f".{self._copy.name}.part")):
                path.unlink(missing_ok=True)

    def _schema(self) -> int:
        with open_unchanged(self._settings.catalog_path) as conn:
            version = schema_version(conn)
        if version > len(MIGRATIONS):
            reason = f"it uses schema {version}, but this version supports {len(MIGRATIONS)}; use the version of VinylVault that created it"
            raise StorageError(str(self._settings.catalog_path), reason)
        return version

    # --- the catalogue and the originals that it names

    def _add_catalog(self, writer: ArchiveWriter) -> None:
        """Add the originals that a snapshot of the catalogue names, then the snapshot. If one was deleted meanwhile, take another."""
        absent: list[StoredOriginal] = []
        for _ in range(MAX_SNAPSHOTS):
            self._copy_catalog()
            before, absent = absent, [o for o in self._originals() if not self._add_original(writer, o)]
            if not absent or absent == before:
                break
        self._report.missing = [original.file_path for original in absent]  # their rows still exist: they were lost before
        with self._copy.open("rb") as file:
            writer.add_stream("state/catalog.db", file)
        self._report_progress("state/catalog.db")

    def _copy_catalog(self) -> None:
        self._copy.unlink(missing_ok=True)
        with open_unchanged(self._settings.catalog_path) as conn:
            copy_into(conn, self._copy)

    def _originals(self) -> list[StoredOriginal]:
        """Return the originals that the snapshot names."""
        with open_unchanged(self._copy) as conn:
            return list(originals_in(conn))

    @property
    def _is_carried(self) -> bool:
        """Whether originals go into the archive: those of a bucket are safe where they are, unless a full backup is wanted."""
        return self._is_full or isinstance(self._storage, LocalStorage)

    def _add_original(self, writer: ArchiveWriter, original: StoredOriginal) -> bool:
        """Add an original; return False if it does not exist (any more)."""
        if original.file_path in self._done:
            return True
        if not self._is_carried:
            self._done.add(original.file_path)
            return True
        name = f"originals/{original.file_path}"
        if isinstance(self._storage, LocalStorage):
            sha256 = self._add_file(writer, name, self._storage.root / original.file_path)
        else:
            body = self._storage.get(original.file_path)
            sha256 = None if body is None else writer.add(name, len(body), [body])
        if sha256 is None:
            return False
        if sha256 != original.sha256:
            self._report.damaged.append(original.file_path)  # there is no better copy, so it is included
        self._done.add(original.file_path)
        self._report.originals += 1
        self._report_progress(name)
        return True

    # --- everything else

    def _add_state(self, writer: ArchiveWriter) -> None:
        report = self._report
        for name, path, is_secret in state_files(self._settings, report.notes):
            if is_secret and not self._has_secrets:
                report.left_out.append(name)
            elif self._add_file(writer, f"{'secrets' if is_secret else 'state'}/{name}", path) is not None:
                report.state_files += not is_secret
                if is_secret:
                    report.secrets.append(name)
                self._report_progress(name)
        key = self._settings.secret_key_path
        if self._has_secrets and not key.is_relative_to(self._settings.state_dir) and key.is_file():
            self._add_file(writer, "secrets/secret_key", key)
            report.secrets.append("secret_key")

    def _add_register(self, writer: ArchiveWriter) -> None:
        """Add what is known of the covers, a line each: enough to fetch them again and to see whether they changed."""
        settings = self._settings
        names = settings.covers_dir / "names.json"
        if names.is_file():
            self._add_file(writer, "covers/names.json", names)
        with tempfile.TemporaryFile(dir=self._copy.parent) as lines:
            try:
                if settings.index_path.exists():
                    with open_unchanged(settings.index_path) as conn:
                        for line in cover_lines(conn):
                            lines.write(line)
                            self._report.covers += 1
            except DatabaseError as error:
                self._report.notes.append(
                    f"Cannot read the cover index ({error}). Cover URLs were taken from the catalogue instead."
                )
                lines.seek(0)
                lines.truncate()
                self._report.covers = 0
            writer.add_stream("covers.jsonl", lines)
        files_index = settings.files_dir / "files.db"
        if files_index.exists():
            try:
                with open_unchanged(files_index) as conn:
                    writer.add_bytes("files.jsonl", b"".join(file_lines(conn)))
            except DatabaseError as error:
                self._report.notes.append(f"Cannot read the file index: {error}")

    def _add_cache(self, writer: ArchiveWriter) -> None:
        settings = self._settings
        try:
            if settings.index_path.exists():
                with open_unchanged(settings.index_path) as conn:
                    copy_into(conn, self._copy)
                with self._copy.open("rb") as file:
                    writer.add_stream("index.db", file)
        except DatabaseError as error:
            self._report.notes.append(f"The cover index was not included: {error}")
        for root, folder in (
            ("covers", settings.covers_dir),
            ("streams", settings.stream_cache_dir),
            ("files", settings.files_dir),
        ):
            recipe = folder / "recipe"  # without it the variants would count as rendered by another recipe
            if recipe.is_file():
                self._add_file(writer, f"{root}/recipe", recipe)
            for name, path in cache_files(folder):
                if self._add_file(writer, f"{root}/{name}", path) is not None:
                    self._report.cache_files += 1
                    self._report_progress(name)

    def _add_file(self, writer: ArchiveWriter, name: str, path: Path) -> bytes | None:
        """Add a file as it is now and return its SHA-256. None if it was deleted or cannot be read: a bad sector of a failing
        card must not cost the rest of the backup.
        """
        reason = ""
        for _ in range(MAX_READS):  # a file that is being written is read again
            try:
                with os.fdopen(os.open(path, _READ_FLAGS), "rb") as file:
                    return writer.add(name, os.fstat(file.fileno()).st_size, chunks_of(file))
            except FileNotFoundError:
                return None
            except SourceFailed as error:
                reason = str(error)
            except OSError as error:
                if error.filename != str(path):  # not this file but the archive failed
                    raise
                reason = error.strerror or str(error)
        self._report.notes.append(f"{path} could not be read and was not included: {reason}.")
        return None

    # --- room and progress

    def _estimate(self) -> int:
        settings = self._settings
        sizes = [settings.catalog_path.stat().st_size * 2]
        sizes += [path.stat().st_size for _, path, _ in state_files(settings, [])]
        if isinstance(self._storage, LocalStorage):
            sizes += [size for _, size in self._storage.list()] if settings.stream_images_dir.is_dir() else []
        if self._is_full:
            for folder in (settings.covers_dir, settings.stream_cache_dir, settings.files_dir):
                sizes += [path.stat().st_size for _, path in cache_files(folder)]
        return sum(sizes)

    def _check_room(self) -> None:
        """Refuse what cannot fit before anything is written; on the disk of the vault keep its reserve free."""
        folder = self._copy.parent
        free = shutil.disk_usage(folder).free
        if folder.stat().st_dev == self._settings.state_dir.stat().st_dev:
            free -= self._settings.floor_bytes
        if free < self._expected:
            reason = f"not enough space: about {self._expected / 1e6:,.0f} MB needed, {max(free, 0) / 1e6:,.0f} MB available"
            raise StorageError(str(folder), reason)

    def _report_progress(self, name: str) -> None:
        if self._progress is not None:
            self._progress(self._file.tell(), max(self._expected, self._file.tell()), name)
