"""What is done to more records than a request has time for: a task does it, and the page of the batch shows how far it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from image_cache.errors import FieldRejected
from image_cache.records.batches.edit import FieldEdit
from image_cache.records.batches.selection_table import Selection, SelectionTable
from image_cache.records.batches.service import Batches
from image_cache.records.batches.table import RecordBatch
from image_cache.tasks.runner import Task, TaskRunner

KIND = "batch"
AT_ONCE = 200  # records that a request changes by itself
BUSY = "Another change to many records is still running. Try again when it is done."


class BatchTasks:
    """Edits, removals and undos of many records. Any thread. One task runs at a time; what a stop interrupts goes on later."""

    def __init__(self, batches: Batches, selections: SelectionTable, tasks: TaskRunner) -> None:
        self._batches = batches
        self._selections = selections
        self._tasks = tasks
        tasks.register(KIND, self._run)

    def edit(self, chosen: Selection, edits: Mapping[str, FieldEdit], account_id: int | None) -> int:
        """Edit the selected records, or begin to; return the batch. Raises `FieldRejected`."""
        if len(chosen.ids) <= AT_ONCE:
            return self._batches.edit(chosen.ids, edits, account_id).id
        self._check()
        batch_id = self._batches.begin_edit(edits, account_id)
        typed = {name: [one.text, one.adds] for name, one in edits.items()}
        self._tasks.start(
            KIND, {"do": "edit", "batch": batch_id, "selection": chosen.id, "edits": typed, "account_id": account_id}
        )
        return batch_id

    def remove(self, chosen: Selection, account_id: int | None) -> int:
        """Remove the selected records, or begin to; return the batch. Raises `FieldRejected`."""
        if len(chosen.ids) <= AT_ONCE:
            return self._batches.remove(chosen.ids, account_id).id
        self._check()
        batch_id = self._batches.begin_removal(account_id)
        self._tasks.start(KIND, {"do": "remove", "batch": batch_id, "selection": chosen.id})
        return batch_id

    def undo(self, batch: RecordBatch, account_id: int | None) -> None:
        """Undo a batch, or begin to. Raises `FieldRejected`."""
        if batch.added + batch.changed <= AT_ONCE or not self._batches.is_open(batch):
            self._batches.undo(batch.id, account_id)
            return
        self._check()
        self._tasks.start(KIND, {"do": "undo", "batch": batch.id, "account_id": account_id})

    def message(self, batch_id: int) -> str:
        """Return how far the work on a batch is, "" if it is done."""
        state = next((state for state in self._tasks.open() if state.kind == KIND and state.wanted["batch"] == batch_id), None)
        return (state.message or "Starting.") if state is not None else ""

    def _check(self) -> None:
        if any(state.kind == KIND for state in self._tasks.open()):
            raise FieldRejected("batch", BUSY)

    def _run(self, task: Task) -> Mapping[str, Any]:
        wanted, ids = task.wanted, self._ids(task)

        def progress(done: int) -> None:
            task.progress(done, len(ids), f"{done:,} of {len(ids):,} records")

        if wanted["do"] == "edit":
            edits = {name: FieldEdit(text, adds) for name, (text, adds) in wanted["edits"].items()}
            batch = self._batches.run_edit(wanted["batch"], ids, edits, wanted["account_id"], progress)
        elif wanted["do"] == "remove":
            batch = self._batches.run_removal(wanted["batch"], ids, progress)
        else:
            task.progress(0, None, "Undoing.")
            batch = self._batches.undo(wanted["batch"], wanted["account_id"])
        return {"says": batch.outcome or batch.words}

    def _ids(self, task: Task) -> Sequence[int]:
        return self._selections.known(task.wanted["selection"]).ids if "selection" in task.wanted else ()
