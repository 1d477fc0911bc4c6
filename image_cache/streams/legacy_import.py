"""Imports streams of the original layout: `images_metadata.json`, and one folder of images for each stream beside it.

Two forms of the file are known: a list of images, and an object of them by id. Paths in it are never followed: an image is the
file with its name, or with its id in the name, in the folder of its stream.
"""

import datetime
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_cache.errors import CacheError, DuplicateImage, FieldRejected, TableRejected
from image_cache.models import ImageVisibility, Viewer
from image_cache.streams.manager import StreamImageManager
from image_cache.streams.upload.uploads import Upload
from image_cache.streams.upload.validation import checked_description, checked_slug, checked_title, checked_visibility
from image_cache.units import MEGABYTE

MAX_FILE_BYTES = 50_000_000
MAX_IMAGES = 100_000


@dataclass(slots=True)
class LegacyStreamReport:
    """Result of an import, in images. `rejected` pairs a name with its reason."""

    read: int = 0
    new: int = 0
    same: int = 0
    streams: set[str] = field(default_factory=set)
    rejected: list[tuple[str, str]] = field(default_factory=list)


def import_original(manager: StreamImageManager, path: Path, *, owner: Viewer, dry_run: bool) -> LegacyStreamReport:
    """Upload every image that the file names and that exists; a second run changes nothing. Raises `TableRejected`."""
    report = LegacyStreamReport()
    for name, row in _rows(path):
        report.read += 1
        try:
            slug = checked_slug(str(row.get("stream_id", "")))
            title, description = (
                checked_title(str(row.get("title") or "")),
                checked_description(str(row.get("description") or "")),
            )
            visibility = checked_visibility(str(row.get("visibility", "private")).rpartition(".")[2].lower())
            data = _original(path.parent, slug, name, row, manager.limits.max_bytes).read_bytes()
            report.streams.add(slug)
            if dry_run:
                _count_dry_run(manager, slug, data, report)
                continue
            stream = manager.rows.stream(slug)
            if stream is None:
                stream = manager.create_stream(slug, slug, visibility=ImageVisibility.PRIVATE, owner=owner)
            upload = Upload(data, str(row.get("filename") or "unnamed"), visibility, title, description)
            image = manager.uploads.store(stream, upload)
            manager.rows.set_created_and_views(image.image_id, _timestamp(row.get("created_at")), _views(row.get("view_count")))
            report.new += 1
        except DuplicateImage:
            report.same += 1
        except (CacheError, OSError) as error:
            reason = (error.strerror or "cannot be read") if isinstance(error, OSError) else str(error)
            report.rejected.append((name, reason))
    return report


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TableRejected(path.name, f"larger than {MAX_FILE_BYTES // MEGABYTE} MB")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TableRejected(path.name, f"not valid JSON ({type(error).__name__})") from error
    if isinstance(found, dict) and isinstance(found.get("images"), list | dict):
        found = found["images"]
    pairs = list(found.items()) if isinstance(found, dict) else list(enumerate(found, 1)) if isinstance(found, list) else None
    if pairs is None or len(pairs) > MAX_IMAGES:
        raise TableRejected(path.name, "expected a list of images, or an object with image IDs as keys")
    for number, row in pairs:
        if isinstance(row, dict):
            yield str(row.get("image_id") or number)[:100], row
        else:
            yield str(number)[:100], {}


def _original(root: Path, slug: str, image_id: str, row: dict[str, Any], max_bytes: int) -> Path:
    """Return the file of an image. Raises `FieldRejected` if it is not in the folder of its stream."""
    folder = root / slug
    names = [str(row.get(field, "")).replace("\\", "/").rpartition("/")[2] for field in ("file_path", "filename")]
    for name in names:
        if name and not name.startswith(".") and _is_plain_file(folder / name):
            return _checked_size(folder / name, max_bytes)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.name.startswith(f"{image_id}_") and "_thumb" not in entry.name and entry.is_file(follow_symlinks=False):
                return _checked_size(Path(entry.path), max_bytes)
    raise FieldRejected("file_path", "the image file is not in its stream folder")


def _is_plain_file(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()
    except (OSError, ValueError):
        return False


def _checked_size(path: Path, max_bytes: int) -> Path:
    if path.stat().st_size > max_bytes:
        raise FieldRejected("file_path", f"the image file is larger than the {max_bytes / 1e6:g} MB limit")
    return path


def _count_dry_run(manager: StreamImageManager, slug: str, data: bytes, report: LegacyStreamReport) -> None:
    manager.uploads.check(data)
    stream = manager.rows.stream(slug)
    if stream is not None and manager.uploads.duplicate_of(stream, data) is not None:
        report.same += 1
    else:
        report.new += 1


def _timestamp(value: object) -> float | None:
    try:
        found = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()


def _views(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else 0
