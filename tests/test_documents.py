"""Documents keep their promises: links lead somewhere, symbols exist, nothing points at line numbers."""

import re
from pathlib import Path

import pytest

from image_cache import __version__

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for name in ("docs", "benchmarks", "static") for path in (ROOT / name).rglob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)[^)]*\)")
PINNED = re.compile(r"[a-z0-9][a-z0-9._-]*==[0-9][a-z0-9.]*( ;.*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|\s*#.*|")
MOST_LINES, MOST_CHARACTERS = 150, 130  # of a page; of a line of prose
LONG = {ROOT / name for name in ("docs/reference/commands.md", "docs/SETTINGS.md")}  # generated
LONG |= {
    ROOT / name for name in ("CHANGELOG.md", "benchmarks/RESULTS.md", "benchmarks/PI.md")
}  # grow with each version or measurement
SYMBOL = re.compile(r"`([A-Z][A-Za-z]+)\.([a-z_]+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document_lead_to_files(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{target} does not exist"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_refers_to_no_line_number(document: Path) -> None:
    assert not re.search(r"\.(py|js|css|html):\d+", document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_methods_that_a_document_names_exist(document: Path) -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "config.py", *(ROOT / "image_cache").rglob("*.py")])
    for name, method in SYMBOL.findall(document.read_text(encoding="utf-8")):
        assert re.search(rf"^class {name}\b", sources, re.MULTILINE), f"there is no class {name}"
        assert re.search(rf"^    (def {method}\(|{method}\b.*[:=])", sources, re.MULTILINE), f"there is no {name}.{method}"


@pytest.mark.parametrize("document", sorted(DOCUMENTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_and_lines_of_a_document_are_short(document: Path) -> None:
    """Tables and code have lines as long as they need."""
    text = document.read_text(encoding="utf-8")
    assert document in LONG or len(text.splitlines()) <= MOST_LINES
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in prose.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > MOST_CHARACTERS] == []


def test_changelog_and_api_name_the_version_of_the_package() -> None:
    changelog, api = ((ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "docs/openapi.yaml"))
    titles = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", titles[1])
    assert f"\n  version: {__version__}\n" in api


def test_the_readme_is_short_and_begins_with_the_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    text = "\n".join(lines)
    for command in ("make demo", "make run", "make test"):
        assert command in text


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_requirements_hold_pins_and_hashes_and_nothing_of_the_machine_that_wrote_them(path: Path) -> None:
    """A pip-compile that keeps its options writes the folders of one machine into the file, and no other can install it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not PINNED.fullmatch(line)] == []
    assert any("==" in line for line in lines)


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    for decision in (ROOT / "docs/decisions").glob("0*.md"):
        assert decision.name in listed


def test_no_template_breaks_the_content_policy() -> None:
    for template in (ROOT / "templates").rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"""\sstyle=["']""", text), f"{template.name} has a style attribute"
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), f"{template.name} has an inline script"
        assert not re.search(r"\son[a-z]+=", text), f"{template.name} has an inline handler"


def test_no_sheet_styles_a_whole_page_by_a_class_that_parts_bear() -> None:
    """The field for files of an upload was out of sight by `.files`, and so was the page of large files, whose body is called so."""
    block, tags = re.compile(r"{% block body_class %}(.*?){% endblock %}"), re.compile(r"{[{%].*?[%}]}")
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "templates").rglob("*.html"))
    named = {f".{name}" for words in block.findall(pages) for name in tags.sub(" ", words).split()}
    assert ".files" in named
    for sheet in (ROOT / "static").rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        alone = {part.strip() for selectors in re.findall(r"([^{}]+)\{", text) for part in selectors.split(",")}
        assert not named & alone, sheet.name
