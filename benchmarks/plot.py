"""`make plots`: draws the plots of README from `benchmarks/results.jsonl`, which `make bench` writes.

    python -m benchmarks.plot [RESULTS] [FOLDER]

SVG of our own, so that nothing has to be installed, and one file reads well on light and dark pages. A bar is a median, the thin line on
it reaches from the least to the greatest round; the line below says when, where and at what load it was measured.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WIDTH, LABEL, ROW, TOP, END = 720, 210, 30, 48, 120  # pixels; END is for the figure behind a bar
STYLE = """
    text { font: 14px system-ui, sans-serif; fill: #24221f }
    .head { font-weight: 600; font-size: 16px } .note { font-size: 12px; fill: #6b655d }
    .bar { fill: #a9a399 } .ours { fill: #b4480f } .spread { stroke: #24221f; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #ece8e1 } .note { fill: #a39c92 } .bar { fill: #6d675f } .ours { fill: #e8782f } .spread { stroke: #ece8e1 }
    }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a plot. `low` and `high` are the least and the greatest round, if there were several."""

    label: str
    value: float
    low: float
    high: float
    is_ours: bool


Result = dict[str, Any]  # a line of the file: part, options, machine, head, rows


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.jsonl"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE.parent / "docs"
    results = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    for name, draw in PLOTS.items():
        svg = draw(results)
        if svg:
            (folder / f"plot-{name}.svg").write_text(svg, encoding="utf-8")
            print(folder / f"plot-{name}.svg")


def _warm(results: Sequence[Result]) -> str:
    found = _last(results, "warm")
    bars = [Bar(row[0], row[1], *_bounds(row[2]), row[0].startswith("vault")) for row in found["rows"]] if found else []
    return plot("Cached covers per second, one core (more is better)", bars, found, lambda value: f"{value:,.0f}")


def _cover(results: Sequence[Result]) -> str:
    found = _last(results, "cold")
    bars = [Bar(row[0], row[1], *_bounds(row[2]), row[0] == "vault") for row in found["rows"]] if found else []
    return plot("CPU time of a new cover, fetched, in two sizes (less is better)", bars, found, lambda value: f"{value:.0f} ms")


def _memory(results: Sequence[Result]) -> str:
    found = _last(results, "memory")
    bars = [Bar(row[0], row[1], row[1], row[1], True) for row in found["rows"]] if found else []
    return plot("Memory of the server, without its decoder", bars, found, lambda value: f"{value:.0f} MB")


PLOTS: dict[str, Callable[[Sequence[Result]], str]] = {"warm": _warm, "cover": _cover, "memory": _memory}


def plot(title: str, bars: Sequence[Bar], found: Result | None, text: Callable[[float], str]) -> str:
    """Return the SVG of a bar chart; nothing if there are no bars."""
    if not bars or found is None:
        return ""
    scale = (WIDTH - LABEL - END) / max(bar.high for bar in bars)
    height = TOP + ROW * len(bars) + 34
    said = ", ".join(f"{bar.label} {text(bar.value)}" for bar in bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(f"{title}: {said}")}">',
        f"<style>{STYLE}</style>",
        f'<text class="head" x="0" y="20">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        y, end = TOP + ROW * number, LABEL + bar.value * scale
        middle = y + 9
        parts += [
            f'<text x="{LABEL - 10}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{"ours" if bar.is_ours else "bar"}" x="{LABEL}" y="{y}" width="{end - LABEL:.1f}" height="18" rx="2"/>',
        ]
        if bar.high > bar.low:
            parts.append(f'<path class="spread" d="M{LABEL + bar.low * scale:.1f} {middle}H{LABEL + bar.high * scale:.1f}"/>')
        parts.append(f'<text x="{LABEL + bar.high * scale + 8:.1f}" y="{y + 14}">{escape(text(bar.value))}</text>')
    parts.append(f'<text class="note" x="0" y="{height - 8}">{escape(_note(found["machine"]))}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _note(machine: str) -> str:
    """Return date, processor and load of a line of `measure.machine`."""
    when, _, rest = machine.partition("  ")
    fields = rest.split(", ")
    return ", ".join([when, *fields[:2], fields[-1]])


def _last(results: Sequence[Result], part: str) -> Result | None:
    """Return the first table of the last run of a part."""
    tables = [found for found in results if found["part"] == part]
    last = [found for found in tables if tables and found["run"] == tables[-1]["run"]]
    return last[0] if last else None


def _bounds(cell: str) -> tuple[float, float]:
    """Return the numbers of a cell `low..high`."""
    low, high = (float(re.sub(r"[^0-9.]", "", text)) for text in cell.split(".."))
    return low, high


if __name__ == "__main__":
    main()
