"""Output of commands: tables and a progress bar on a terminal, plain lines when piped, one JSON object on request. Never two at once."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from image_cache.logs import printable

WIDTH = 80  # of a terminal that does not say
PIPE_WIDTH = 10_000  # lines are not wrapped for a pipe
LEAST = 8  # columns of a terminal that a column of a table keeps
LAMPS = {"well": "ok", "working": "busy", "waiting": "wait", "warning": "LOOK", "failed": "FAIL"}
COLOURS = {"well": "32", "working": "36", "waiting": "36", "warning": "33", "failed": "31"}


class Output:
    """Where a command writes. Control characters are escaped: names are untrusted.

    `is_aligned`: tables keep their columns when piped, as those of `flask --app app` always did.
    """

    def __init__(self, stream: TextIO | None = None, *, is_json: bool = False, is_aligned: bool = False) -> None:
        self.stream = stream or sys.stdout
        self.is_json = is_json
        self.is_terminal = self.stream.isatty() and not is_json
        self._is_aligned = is_aligned
        # A result that is piped leaves the progress to the terminal of the person who waits.
        self._bars = self.stream if self.is_terminal else sys.stderr if stream is None and sys.stderr.isatty() else None
        self._bar = ""  # the text of the bar that is drawn now

    @property
    def width(self) -> int:
        return max(40, _columns()) if self.is_terminal else PIPE_WIDTH

    @property
    def height(self) -> int:
        return max(10, shutil.get_terminal_size((WIDTH, 24)).lines)

    def line(self, text: str = "", *, state: str = "") -> None:
        """Write one line; with a state in its colour, where there are colours. Nothing in JSON."""
        if not self.is_json:
            text = "\t".join(printable(part) for part in text.split("\t"))
            print(f"\x1b[{COLOURS[state]}m{text}\x1b[0m" if state and self.is_terminal else text, file=self.stream)

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.line(text)

    def note(self, text: str) -> None:
        """Write one line to standard error: what is not the result."""
        print(printable(text), file=sys.stderr)

    def wrapped(self, lead: str, text: str, *, state: str = "") -> None:
        """Write a text after a lead, further lines below the text; as one line when piped."""
        first, *rest = wrapped(printable(text), self.width - len(lead)) or [""]
        self.line(lead + first, state=state)
        for more in rest:
            self.line(" " * len(lead) + more, state=state)

    def rows(self, rows: Iterable[tuple[str, str]], *, indent: str = "") -> None:
        """Write names and values: in two columns on a terminal, as `name: value` when piped."""
        known = list(rows)
        column = max((len(name) for name, _ in known), default=0)
        for name, value in known:
            if not self.is_terminal:
                self.line(f"{indent}{name}: {value}")
                continue
            self.wrapped(f"{indent}{name:<{column}}  ", value)

    def table(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Sequence[int] = (),
        aligned: Sequence[int] = (),
        gap: int = 2,
    ) -> None:
        """Write a table. Piped: values separated by tabs, no head.

        `right` are the columns of numbers. The widest gives way when the line is too narrow. `aligned` are the widths of
        the first columns where output is aligned: there is no head then, and nothing is cut.
        """
        known = [[printable(cell) for cell in row] for row in rows]
        if self._is_aligned:
            widths = [*aligned, *(0 for _ in head[len(aligned) :])]
            for row in known:
                self._columns(row, widths, right, gap)
        elif not self.is_terminal:
            self.lines("\t".join(row) for row in known)
        else:
            widths = [max(len(row[column]) for row in (head, *known)) for column in range(len(head))]
            room = self.width - gap * (len(widths) - 1)
            while sum(widths) > room and max(widths) > LEAST:
                widest = max(range(len(widths)), key=lambda column: (widths[column], column))
                widths[widest] -= 1
            for row in (list(head), ["-" * width for width in widths], *known):
                self._columns([cut(cell, width) for cell, width in zip(row, widths, strict=True)], widths, right, gap)

    def _columns(self, cells: Sequence[str], widths: Sequence[int], right: Sequence[int], gap: int) -> None:
        padded = (
            f"{cell:>{width}}" if column in right else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        self.line((" " * gap).join(padded).rstrip())

    def json(self, value: dict[str, Any]) -> None:
        """Write one object, in JSON only."""
        if self.is_json:
            text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
            # Names that are not UTF-8 cannot be written; JSON has an escape for them.
            print(text.encode("utf-8", "backslashreplace").decode("utf-8"), file=self.stream)

    def bar(self, done: int, total: int | None, text: str) -> None:
        """Draw a bar over the one before it, or the text alone while the total is unknown. Only on a terminal."""
        if self._bars is None or self.is_json:
            return
        self._bar = text
        if total is None:
            print(f"\r{cut(text, _columns() - 1)}\x1b[K", end="", file=self._bars, flush=True)
            return
        room = max(10, _columns() - len(text) - 10)
        full = round(room * done / total) if total else room
        share = 100 * done // total if total else 100
        print(f"\r[{'#' * full}{'.' * (room - full)}] {share:3d}% {text}\x1b[K", end="", file=self._bars, flush=True)

    def end_bar(self, *, is_done: bool = True) -> None:
        """End the line of the bar; full when what it measured is done."""
        if self._bars is not None and self._bar:
            if is_done:
                self.bar(1, 1, self._bar)
            print(file=self._bars)
        self._bar = ""

    def flush(self) -> None:
        self.stream.flush()


def wrapped(text: str, width: int) -> list[str]:
    """Break a text at spaces; what has none, such as a path, stays in one piece, so that it can be copied."""
    return textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False)


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _columns() -> int:
    return shutil.get_terminal_size((WIDTH, 24)).columns
