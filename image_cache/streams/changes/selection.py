"""Changes of many images of a stream at once, each of which the account that made it can undo until it makes another.

An image that cannot be changed is reported with its reason, and the others are changed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, DuplicateImage, FieldRejected, NotVisible, QuotaExceeded, SpaceExceeded, StorageError
from image_cache.models import ImageVisibility, Stream, Viewer
from image_cache.streams.changes.moving import StreamMoving
from image_cache.streams.changes.selection_table import ImageChangeTable
from image_cache.streams.changes.trash import NO_IMAGE, SAME_IMAGE, BatchResult, StreamTrash
from image_cache.streams.changes.undo_table import Undo, UndoTable
from image_cache.streams.table import StreamTable
from image_cache.streams.upload.validation import checked_title

MAX_SELECTED = 1000
MAX_MOVED = 100  # whose originals are written again while the request waits
VISIBILITIES = tuple(kind.value for kind in ImageVisibility)
SENSITIVE, PLAIN, TRASH, MOVE, COPY, ORDER, TITLES = "sensitive", "plain", "trash", "move", "copy", "order", "titles"


class StreamSelection:
    """Any thread, several processes. Callers have checked that the viewer may edit the stream, and the target of a move."""

    def __init__(
        self, rows: StreamTable, trash: StreamTrash, moving: StreamMoving, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._rows = rows
        self._changes = ImageChangeTable(rows.db)
        self._trash = trash
        self._moving = moving
        self._undos = UndoTable(rows.db)
        self._clock = clock

    def apply(
        self, viewer: Viewer, stream: Stream, action: str, image_ids: Sequence[str], target: Stream | None = None
    ) -> tuple[BatchResult, int | None]:
        """Do one of the actions; return what came of it and the number to undo it by, None if nothing was changed.

        Raises `FieldRejected` for an unknown action or a selection without images.
        """
        ids = list(dict.fromkeys(image_ids))
        if not 1 <= len(ids) <= MAX_SELECTED:
            raise FieldRejected("image", f"Select 1 to {MAX_SELECTED:,} images.")
        if action in VISIBILITIES:
            return self._change(viewer, stream, action, ids, visibility=ImageVisibility(action))
        if action in (SENSITIVE, PLAIN):
            return self._change(viewer, stream, action, ids, is_sensitive=action == SENSITIVE)
        if action == TRASH:
            result = self._trash.move(stream, ids)
            return result, self._remember(viewer, stream, action, {"images": result.done}, result)
        if action in (MOVE, COPY) and target is not None:
            return self._take(viewer, stream, action, ids, target)
        raise FieldRejected("action", "Choose what to do with the selected images.")

    def set_titles(self, viewer: Viewer, stream: Stream, titles: Mapping[str, str]) -> tuple[BatchResult, int | None]:
        """Write the titles that changed, by the ids of their images."""
        result, before = BatchResult(), {}
        for image in self._rows.images(stream.id):
            title = titles.get(image.image_id)
            if title is None:
                continue
            try:
                new = checked_title(title)
            except FieldRejected as error:
                result.failed[image.image_id] = str(error)
                continue
            if new != image.title and self._rows.update_image(replace(image, title=new), stream.id):
                before[image.image_id] = {"title": image.title}
                result.done.append(image.image_id)
        return result, self._remember(viewer, stream, TITLES, {"images": before}, result)

    def set_order(self, viewer: Viewer, stream: Stream, image_ids: Sequence[str]) -> tuple[BatchResult, int | None]:
        """Put the images of a stream into this order; those that are not named follow in the order that they had."""
        old = [image.image_id for image in self._rows.images(stream.id)]
        named = [one for one in dict.fromkeys(image_ids) if one in old]
        new = named + [one for one in old if one not in named]
        result = BatchResult([] if new == old else named)
        if new != old:
            self._changes.set_order(stream.id, new)
        return result, self._remember(viewer, stream, ORDER, {"order": old}, result)

    def last(self, viewer: Viewer, number: int) -> Undo | None:
        """Return a change of this viewer that can be undone; None if it was undone, or is not the last one."""
        return None if viewer.account_id is None else self._undos.get(number, viewer.account_id)

    def undo(self, viewer: Viewer, stream: Stream, number: int, other: Callable[[str], Stream]) -> BatchResult:
        """Take a change back. `other` returns a further stream that this viewer may edit, or raises. Raises `NotVisible`."""
        undo = self.last(viewer, number)
        if undo is None or undo.stream_id != stream.id or not self._undos.delete(number):
            raise NotVisible
        before = undo.before
        if undo.action == TRASH:
            return self._trash.restore(stream, before["images"])
        if undo.action == COPY:
            return self._trash.move(other(before["target"]), before["images"])
        if undo.action == MOVE:
            return self._move_back(stream, other(before["target"]), before["images"])
        if undo.action == ORDER:
            return self._order_back(stream, before["order"])
        return self._change_back(stream, before["images"])

    def _change(
        self, viewer: Viewer, stream: Stream, action: str, ids: list[str], **changes: Any
    ) -> tuple[BatchResult, int | None]:
        shown = {image.image_id: image for image in self._rows.images(stream.id)}
        result, before = BatchResult(), {}
        changed = [replace(shown[one], **changes) for one in ids if one in shown]
        for image in self._changes.update_images(changed):
            old = shown[image.image_id]
            before[image.image_id] = {"visibility": old.visibility.value, "is_sensitive": old.is_sensitive}
            result.done.append(image.image_id)
        result.failed = {one: NO_IMAGE for one in ids if one not in before}
        return result, self._remember(viewer, stream, action, {"images": before}, result)

    def _change_back(self, stream: Stream, before: Mapping[str, Mapping[str, Any]]) -> BatchResult:
        shown = {image.image_id: image for image in self._rows.images(stream.id)}
        old = []
        for image_id, values in before.items():
            if image_id in shown:
                kept = dict(values)
                if "visibility" in kept:
                    kept["visibility"] = ImageVisibility(kept["visibility"])
                old.append(replace(shown[image_id], **kept))
        done = [image.image_id for image in self._changes.update_images(old)]
        return BatchResult(done, {one: NO_IMAGE for one in before if one not in done})

    def _order_back(self, stream: Stream, image_ids: Sequence[str]) -> BatchResult:
        now = [image.image_id for image in self._rows.images(stream.id)]
        known = [one for one in image_ids if one in now]
        self._changes.set_order(stream.id, known + [one for one in now if one not in known])
        return BatchResult(known)

    def _take(
        self, viewer: Viewer, stream: Stream, action: str, ids: list[str], target: Stream
    ) -> tuple[BatchResult, int | None]:
        if target.id == stream.id:
            raise FieldRejected("to", "The images are already in this stream. Choose another one.")
        if len(ids) > MAX_MOVED:
            raise FieldRejected("image", f"Select up to {MAX_MOVED} images to move or copy at a time.")
        shown = {image.image_id: image for image in self._rows.images(stream.id)}
        result = BatchResult(failed={one: NO_IMAGE for one in ids if one not in shown})
        taken: dict[str, int] = {}
        for image in (shown[one] for one in ids if one in shown):
            try:
                made = self._moving.move(image, target) if action == MOVE else self._moving.copy(image, target)
                taken[made.image_id] = image.position
                result.done.append(image.image_id)
            except (CacheError, DatabaseError) as error:
                result.failed[image.image_id] = _reason(error)
        before = {"target": target.slug, "images": taken if action == MOVE else list(taken)}
        return result, self._remember(viewer, stream, action, before, result)

    def _move_back(self, stream: Stream, target: Stream, positions: Mapping[str, int]) -> BatchResult:
        there = {image.image_id: image for image in self._rows.images(target.id)}
        result = BatchResult(failed={one: NO_IMAGE for one in positions if one not in there})
        for image_id, position in positions.items():
            if image_id in there:
                try:
                    self._moving.move(there[image_id], stream, position=position)
                    result.done.append(image_id)
                except (CacheError, DatabaseError) as error:
                    result.failed[image_id] = _reason(error)
        return result

    def _remember(self, viewer: Viewer, stream: Stream, action: str, before: dict[str, Any], result: BatchResult) -> int | None:
        if viewer.account_id is None or not (result.done or result.failed):
            return None
        return self._undos.set(Undo(0, stream.id, viewer.account_id, action, before, result.failed, self._clock()))


def _reason(error: Exception) -> str:
    """Return why an image could not be moved, as a sentence for its owner."""
    if isinstance(error, DuplicateImage):
        return SAME_IMAGE
    if isinstance(error, QuotaExceeded):
        return f"The stream is full: it holds {error.limit} images, with those in its trash."
    if isinstance(error, SpaceExceeded):
        return error.others_message
    if isinstance(error, NotVisible):
        return NO_IMAGE
    if isinstance(error, StorageError):
        return "Its original could not be read or stored. Try again later."
    return "VinylVault could not do it. Try again."
