"""What the benchmarks say of their figures: what got worse, and the plots of README."""

import json
from pathlib import Path
from xml.etree import ElementTree

from benchmarks import plot
from benchmarks.measure import low_to_high
from benchmarks.quick import KEPT, worse
from tests.support.vault import ROOT

MACHINE = "2026-11-30 01:49  Some processor, 2 cores, 25.3 GB, x86_64, Linux 6.18, Python 3.11.7, load 1.1"
SVG = "{http://www.w3.org/2000/svg}"


def line(run: int, *rows: tuple[object, ...], part: str = "warm") -> str:
    found = {"part": part, "run": run, "options": [], "machine": MACHINE, "head": ["", "req/s", "min..max"], "rows": rows}
    return json.dumps(found) + "\n"


def test_what_got_worse_by_a_tenth_is_named() -> None:
    kept = {"page": 2.0, "hit": 0.9, "import": 1.0}
    assert worse({"page": 2.19, "hit": 1.0, "import": 0.5, "new": 9.0}, kept) == ["hit"]


def test_the_figures_to_compare_with_are_ratios() -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    assert len(kept) >= 10
    assert all(0.01 < value < 100 for value in kept.values())


def test_a_plot_shows_the_first_table_of_the_last_run(tmp_path: Path) -> None:
    """A run of warm hits has a second table, of 304s, which is not drawn."""
    results = tmp_path / "results.jsonl"
    rows = ("vault", 80_000.0, low_to_high([60_000, 100_000])), ("nginx & co", 40_000.0, low_to_high([40_000, 40_000]))
    results.write_text(
        line(1, ("vault", 1.0, "1..1")) + line(2, *rows) + line(2, ("vault", 2.0, "2..2")) + line(2, part="memory"),
        encoding="utf-8",
    )
    svg = ElementTree.fromstring(
        plot.PLOTS["warm"]([json.loads(text) for text in results.read_text(encoding="utf-8").splitlines()])
    )
    widths = [float(bar.attrib["width"]) for bar in svg.iter(f"{SVG}rect")]
    assert [bar.attrib["class"] for bar in svg.iter(f"{SVG}rect")] == ["ours", "bar"]
    assert abs(widths[0] - 2 * widths[1]) < 0.2
    spreads = [path.attrib["d"] for path in svg.iter(f"{SVG}path")]
    left, right = plot.LABEL + 0.6 * 390, plot.LABEL + 390
    assert spreads == [f"M{left:.1f} 57H{right:.1f}"], "one round has no spread"
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert texts[1:5] == ["vault", "80,000", "nginx & co", "40,000"]
    assert texts[-1] == "2026-11-30 01:49, Some processor, 2 cores, load 1.1"


def test_the_plots_in_the_documents_are_those_of_the_results() -> None:
    results = [json.loads(text) for text in (ROOT / "benchmarks/results.jsonl").read_text(encoding="utf-8").splitlines()]
    drawn = {name: svg for name, draw in plot.PLOTS.items() if (svg := draw(results))}
    assert {"warm", "memory"} <= drawn.keys()
    kept = {path.stem.removeprefix("plot-"): path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("plot-*.svg")}
    assert kept == drawn, "run `make plots`"
