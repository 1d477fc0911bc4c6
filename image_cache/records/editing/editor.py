"""Editing by hand: records that are typed, fields that are changed, and each change undone."""

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.errors import FieldRejected, UnknownAlbum
from image_cache.frozen import frozen
from image_cache.import_models import ImportRow
from image_cache.models import Album
from image_cache.records.copies_table import CopiesTable
from image_cache.records.editing.changes_table import ChangesTable, RecordChange
from image_cache.records.editing.own_values import FIELDS, HAND, edited, parse, source_values, text_of, text_of_value
from image_cache.records.merge import create_album
from image_cache.records.table import AlbumTable
from image_cache.tables.rows import UNTITLED

logger = logging.getLogger(__name__)

NAMELESS = "A record must have an artist or a title."


@frozen
class EditOutcome:
    """What became of a form. `wrong` are reasons by field, `clashes` what someone else saved meanwhile, by field.

    `alike` are records that look the same as a new one. Nothing is saved unless all three are empty. `changed` are the fields
    that were saved.
    """

    changed: tuple[str, ...] = ()
    wrong: Mapping[str, str] | None = None
    clashes: Mapping[str, str] | None = None
    album_id: int = 0
    alike: tuple[int, ...] = ()

    @property
    def is_saved(self) -> bool:
        return not self.wrong and not self.clashes and not self.alike


class RecordEditor:
    """Changes records as people type them. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase, *, clock: Callable[[], float] = time.time) -> None:
        self._albums = AlbumTable(catalog)
        self._changes = ChangesTable(catalog)
        self._copies = CopiesTable(catalog)
        self._db = catalog
        self._clock = clock

    def changes(self, album_id: int) -> list[RecordChange]:
        """Return the changes that people made to a record, the newest first."""
        return self._changes.changes(album_id)

    def own(self, album: Album) -> dict[str, str]:
        """Return the fields that are own, each with what the source says, as text."""
        return {name: text_of_value(name, value) for name, value in source_values(album).items()}

    def add(self, typed: Mapping[str, str], account_id: int | None = None, *, copy_of: Collection[int] = ()) -> EditOutcome:
        """Add a record that was typed; fields that are missing are empty.

        What looks the same as other records is only added as a copy of them, if all of them are in `copy_of`.
        """
        values, wrong = _parsed(typed)
        if not wrong and not values.get("artist") and not values.get("title"):
            wrong["title"] = NAMELESS
        if wrong:
            return EditOutcome(wrong=wrong)
        title = values.pop("title", "") or UNTITLED
        row = ImportRow(1, title, values.pop("artist", ""), **{name: value for name, value in values.items() if value})
        album = create_album(row, HAND, secrets.token_hex(12), float(int(self._clock())))
        with self._db.write() as conn:
            alike = self._copies.like(album)
            if not set(alike) <= set(copy_of):
                return EditOutcome(alike=tuple(alike))
            album_id = self._albums.insert(conn, album)
            for other in alike:
                self._copies.keep(conn, other, album_id)
        logger.info("record added id=%d account_id=%s", album_id, account_id)
        return EditOutcome(album_id=album_id)

    def copy(self, album_id: int, account_id: int | None = None) -> int:
        """Add a second copy of a record, without the plays, rating, notes and grades of the first. Raises `UnknownAlbum`."""
        now = self._clock()
        with self._db.write() as conn:
            album = self._known(album_id)
            found = replace(
                album,
                source=HAND,
                source_id=secrets.token_hex(12),
                instance_id="",
                added_at=float(int(now)),
                plays=0,
                last_played_at=None,
                rating=None,
                own_notes="",
                notes="",
                source_values="",
                media_condition="",
                sleeve_condition="",
                price="",
                bought="",
                gone_at=None,
                seen_at=None,
            )
            made = self._albums.insert(conn, found)
            self._copies.keep(conn, album_id, made)
        logger.info("record added id=%d copy_of=%d account_id=%s", made, album_id, account_id)
        return made

    def edit(self, album_id: int, typed: Mapping[str, str], was: Mapping[str, str], account_id: int | None = None) -> EditOutcome:
        """Save the fields of a form that differ from what the form began with (`was`). Raises `UnknownAlbum`.

        A field that someone else changed meanwhile is a clash: nothing is saved, and the outcome has what they saved.
        """
        touched = {name: text for name, text in typed.items() if name in FIELDS and _plain(text) != _plain(was.get(name, ""))}
        values, wrong = _parsed(touched)
        with self._db.write() as conn:
            album = self._known(album_id)
            now = {name: text_of(album, name) for name in touched}
            clashes = {
                name: now[name]
                for name in touched
                if _plain(now[name]) not in (_plain(was.get(name, "")), _plain(touched[name])) and name not in wrong
            }
            changed = {name: value for name, value in values.items() if value != getattr(album, name)}
            if not wrong and not (changed.get("artist", album.artist) or changed.get("title", album.title)):
                wrong["title"] = NAMELESS
            if wrong or clashes:
                return EditOutcome(wrong=wrong, clashes=clashes, album_id=album_id)
            self._save(conn, album, changed, account_id)
        return EditOutcome(tuple(changed), album_id=album_id)

    def release(self, album_id: int, field: str, account_id: int | None = None) -> None:
        """Use the source's value of a field again. Raises `UnknownAlbum`, and `FieldRejected` if it is not own."""
        with self._db.write() as conn:
            album = self._known(album_id)
            own = source_values(album)
            if field not in own:
                raise FieldRejected("field", f"{FIELDS.get(field, field[:40])} is not a value of yours.")
            self._save(conn, album, {field: own[field]}, account_id)

    def undo(self, change_id: int) -> RecordChange:
        """Undo a change: the field is again as it was before. Raises `FieldRejected` if it was undone, or changed since."""
        with self._db.write() as conn:
            change = self._changes.change(conn, change_id) if 0 < change_id < 2**63 else None
            if change is None:
                raise FieldRejected("change", "This change was already undone, or is too old.")
            album = self._known(change.album_id)
            if text_of(album, change.field) != change.after:
                what = FIELDS[change.field]
                raise FieldRejected("change", f"{what} was changed again since. Undo the newer change first.")
            self._write(conn, album, {change.field: parse(change.field, change.before)})
            self._changes.remove(conn, change_id)
            return change

    def _save(self, conn: Connection, album: Album, changed: Mapping[str, Any], account_id: int | None) -> None:
        self._write(conn, album, changed)
        for name, value in changed.items():
            before, after = text_of(album, name), text_of_value(name, value)
            self._changes.add(conn, RecordChange(0, album.id, name, before, after, self._clock()), account_id)
        if changed:
            logger.info("record edited id=%d fields=%s account_id=%s", album.id, ",".join(changed), account_id)

    def _write(self, conn: Connection, album: Album, changed: Mapping[str, Any]) -> None:
        after = edited(album, changed)
        if after != album:
            self._albums.write_own(conn, album, after)

    def _known(self, album_id: int) -> Album:
        album = self._albums.album(album_id)
        if album is None:
            raise UnknownAlbum(album_id)
        return album


def _parsed(typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a form, and the reasons of those that are wrong, by field."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, text in typed.items():
        if name not in FIELDS:
            continue
        try:
            values[name] = parse(name, text)
        except FieldRejected as problem:
            wrong[name] = problem.reason
    return values, wrong


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
