"""Editing many records at once: only the fields that were touched, in short transactions, undone as one."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import Connection
from image_cache.errors import FieldRejected
from image_cache.frozen import frozen
from image_cache.models import Album
from image_cache.records.batches.table import AT_A_TIME
from image_cache.records.editing.changes_table import ChangesTable, RecordChange
from image_cache.records.editing.own_values import FIELDS, LISTS, edited, parse, text_of, text_of_value
from image_cache.records.table import AlbumTable

EDITABLE = ("genres", "styles", "formats", "label", "media_condition", "sleeve_condition", "shelf", "price", "bought")
MAX_VALUES = 30  # of one list


@frozen
class FieldEdit:
    """What to do to one field: `text` replaces it, or with `adds` is added to what a list has."""

    text: str
    adds: bool = False


@frozen
class EditCount:
    """How many records were changed, were like that already, and were removed meanwhile; `failed` by reason."""

    changed: int = 0
    same: int = 0
    missing: int = 0
    failed: Mapping[str, int] | None = None


class RecordsEditor:
    """Edits many records. Any thread, several processes."""

    def __init__(self, catalog: CatalogDatabase, clock: Callable[[], float]) -> None:
        self._albums = AlbumTable(catalog)
        self._changes = ChangesTable(catalog)
        self._db = catalog
        self._clock = clock

    def parse(self, edits: Mapping[str, FieldEdit]) -> dict[str, tuple[Any, bool]]:
        """Return the values of a form, each with whether it is added. Raises `FieldRejected` for the first that is wrong."""
        return {name: (parse(name, one.text), one.adds and name in LISTS) for name, one in edits.items() if name in EDITABLE}

    def edit(
        self,
        ids: Sequence[int],
        values: Mapping[str, tuple[Any, bool]],
        batch_id: int,
        account_id: int | None,
        progress: Callable[[int], object] = int,
    ) -> EditCount:
        """Change records. What is wrong with one of them does not stop the others. `progress` gets how many were looked at."""
        changed = same = missing = 0
        failed = Counter[str]()
        for start in range(0, len(ids), AT_A_TIME):
            portion = ids[start : start + AT_A_TIME]
            progress(start)
            with self._db.write() as conn:
                found = self._albums.albums(portion)
                missing += len(portion) - len(found)
                for album in found:
                    try:
                        did = self._edit(conn, album, values, batch_id, account_id)
                    except FieldRejected as problem:
                        failed[problem.reason] += 1
                    else:
                        changed, same = changed + did, same + (not did)
        return EditCount(changed, same, missing, dict(failed))

    def undo(self, batch_id: int) -> tuple[int, int]:
        """Undo all changes of a batch; return how many records are as before, and how many have a field that was changed since."""
        done, since, last = set[int](), set[int](), 0
        while portion := self._changes.of_batch(batch_id, AT_A_TIME, last):
            last = portion[-1].id
            with self._db.write() as conn:
                for change in portion:
                    album = self._albums.album(change.album_id)
                    if album is None or text_of(album, change.field) != change.after:
                        since.add(change.album_id)
                        continue
                    after = edited(album, {change.field: parse(change.field, change.before)})
                    self._albums.write_own(conn, album, after)
                    self._changes.remove(conn, change.id)
                    done.add(change.album_id)
        return len(done - since), len(since)

    def _edit(
        self,
        conn: Connection,
        album: Album,
        values: Mapping[str, tuple[Any, bool]],
        batch_id: int,
        account_id: int | None,
    ) -> bool:
        wanted = {}
        for name, (value, adds) in values.items():
            now = getattr(album, name)
            new = (*now, *(one for one in value if one not in now)) if adds else value
            if name in LISTS and len(new) > MAX_VALUES:
                raise FieldRejected(name, f"{FIELDS[name]} can have up to {MAX_VALUES} values.")
            if new != now:
                wanted[name] = new
        if not wanted:
            return False
        self._albums.write_own(conn, album, edited(album, wanted))
        for name, new in wanted.items():
            change = RecordChange(0, album.id, name, text_of(album, name), text_of_value(name, new), self._clock())
            self._changes.add(conn, change, account_id, batch_id)
        return True
