"""How the command speaks: tables and a bar on a terminal, plain lines when piped, one JSON object when asked. Never two at once."""

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from image_cache.logs import printable

WIDTH = 80  # of a terminal that does not say; lines are never longer than what it has
LAMPS = {"well": "ok", "working": "busy", "waiting": "wait", "warning": "LOOK", "failed": "FAIL"}
COLOURS = {"well": "32", "working": "36", "waiting": "36", "warning": "33", "failed": "31"}


class Output:
    """Where a person, a pipe or a script reads. Text is cut free of control characters: names come from strangers."""

    def __init__(self, stream: TextIO | None = None, *, is_json: bool = False) -> None:
        self.stream = stream or sys.stdout
        self.is_json = is_json
        self.is_terminal = self.stream.isatty() and not is_json
        self._bar = ""  # what the bar says that is drawn now

    @property
    def width(self) -> int:
        return max(40, shutil.get_terminal_size((WIDTH, 24)).columns) if self.is_terminal else 10_000

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

    def wrapped(self, lead: str, text: str, *, state: str = "") -> None:
        """Write a text behind a lead, further lines below the text; as one line when piped."""
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

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """Write a table with a head; `right` are the columns of numbers. The last column gives way when the line is too narrow.

        Piped: values separated by tabs, without head.
        """
        known = [[printable(cell) for cell in row] for row in rows]
        if not self.is_terminal:
            self.lines("\t".join(row) for row in known)
            return
        widths = [max(len(row[at]) for row in (head, *known)) for at in range(len(head))]
        widths[-1] = max(8, min(widths[-1], self.width - sum(widths[:-1]) - 2 * (len(widths) - 1)))
        for number, row in enumerate((list(head), *known)):
            cells = [cut(cell, widths[at]) for at, cell in enumerate(row)]
            cells = [f"{c:>{w}}" if at in right else f"{c:<{w}}" for at, (c, w) in enumerate(zip(cells, widths, strict=True))]
            self.line("  ".join(cells).rstrip())
            if number == 0:
                self.line("  ".join("-" * width for width in widths))

    def json(self, value: dict[str, Any]) -> None:
        """Write one object, in JSON only."""
        if self.is_json:
            print(json.dumps(value, indent=2, ensure_ascii=False, default=str), file=self.stream)

    def bar(self, done: int, total: int, said: str) -> None:
        """Draw a bar over the one before it on a terminal; piped and in JSON nothing."""
        if not self.is_terminal:
            return
        self._bar = said
        room = max(10, self.width - len(said) - 10)
        full = round(room * done / total) if total else room
        share = 100 * done // total if total else 100
        print(f"\r[{'#' * full}{'.' * (room - full)}] {share:3d} % {said}\x1b[K", end="", file=self.stream, flush=True)

    def end_bar(self, *, is_done: bool = True) -> None:
        """Leave the bar as it is, full when what it told is done."""
        if self.is_terminal and self._bar:
            if is_done:
                self.bar(1, 1, self._bar)
            print(file=self.stream)
        self._bar = ""

    def flush(self) -> None:
        self.stream.flush()


def wrapped(text: str, width: int) -> list[str]:
    """Break a text at spaces; what has none, such as a path, is left whole, so that it can be copied."""
    import textwrap

    return textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False)


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
