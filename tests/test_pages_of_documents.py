"""The pages by need below docs/: short, found from the index, and true: settings, commands, columns and names in them exist."""

import re
from pathlib import Path

import pytest

import image_cache
from image_cache.cli.main import COMMANDS
from image_cache.config import settings_document
from image_cache.tables.rows import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in ("README", "START", "FAQ", "TROUBLESHOOTING", "UPGRADE", "EMBEDDING")),
    *(path for folder in ("how-to", "reference", "explanation") for path in sorted((DOCS / folder).glob("*.md"))),
]
NAMES = {name for entries in COMMANDS.values() for name in entries}
FEWEST_LETTERS = 6  # of a piece of a message that is worth looking for
SEEN_WITHOUT_A_MESSAGE = {"each file is read at its first use"}
OF_THE_INSTALLER = {"help", "update", "uninstall", "doctor", "install"}
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


KINDS = (
    ("templates", "*.html"),
    ("image_cache", "*.py"),
    ("image_cache", "*.txt"),
    ("systemd", "*.py"),
)  # files with texts that people see
LABEL = re.compile(r"(?<![*\w])\*([A-Z][^*\n]{2,60})\*(?!\*)")
OF_OTHERS = {  # labels of other programs that pages name
    *(
        "Raspberry Pi Imager",
        "Raspberry Pi OS (64-bit)",
        "Lite",
        "Services",
        "PowerShell",
        "Terminal",
        "Could not resolve hostname",
    ),
    *("System Options", "Auto Login", "Boot / Auto Login", "Display Options", "Screen Blanking", "No", "CSV UTF-8", "Export"),
    *("Settings", "Developers", "Get Contents of URL"),
}


def anchors(text: str) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_a_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        assert anchor in anchors(text), f"{target}#{anchor}"


@pages
def test_settings_of_a_page_exist(page: Path) -> None:
    known = set(re.findall(r"`([A-Z_0-9]+)`", settings_document()))
    named = re.findall(r"\b(?:VINYL_VAULT|IMAGE_CACHE)_[A-Z0-9_]*[A-Z0-9]\b", page.read_text(encoding="utf-8"))
    assert set(named) <= known


def test_labels_that_a_page_names_are_on_pages() -> None:
    """Buttons and links are named in italics, as they read."""
    files = [path for folder, kind in KINDS for path in (ROOT / folder).rglob(kind)]
    source = " ".join(path.read_text(encoding="utf-8") for path in files)
    shown = " ".join(f"{source} {re.sub(r'<[^>]+>|{[{%#].*?[}%#]}', ' ', source)}".split())  # some are in the code of a template
    named = [(page.name, label) for page in PAGES for label in LABEL.findall(page.read_text(encoding="utf-8"))]
    assert len(named) > 30
    assert [(page, label) for page, label in named if label not in OF_OTHERS and label.rstrip(".") not in shown] == []


@pytest.mark.parametrize("name", ["BACKUP.md", "FILES.md", "TROUBLESHOOTING.md", "how-to/discogs.md", "START.md"])
def test_messages_that_a_page_quotes_are_said_by_the_program(name: str) -> None:
    """In the first column of a table below "message" or "you see", in a block of text, or between quotation marks."""
    text = (DOCS / name).read_text(encoding="utf-8")
    tables = re.findall(r"^\| (?:message|you see) \|.*\n\|---.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [row.split("|")[1].strip() for table in tables for row in table.splitlines()]
    quoted = [
        *(part for cell in cells for part in re.findall(r"`([^`]+)`", cell) or [cell]),
        *re.findall(r'"([A-Z][^"\n]+)"', text),
    ]
    quoted += [
        line.strip().rpartition(":")[0]
        for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if "code:" in line
    ]
    pieces = [piece.strip(" .,:") for message in quoted for piece in message.split("…")]
    assert len(pieces) > 1 or name == "START.md"
    said = " ".join(
        path.read_text(encoding="utf-8") for path in [*(ROOT / "image_cache").rglob("*.py"), ROOT / "systemd/gunicorn.conf.py"]
    )
    assert [
        piece for piece in pieces if len(piece) >= FEWEST_LETTERS and piece not in said and piece not in SEEN_WITHOUT_A_MESSAGE
    ] == []


@pages
def test_commands_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^\s*|`|sudo )vinylvault ([a-z][a-z-]+)\b", text, re.MULTILINE))
    assert named <= NAMES | OF_THE_INSTALLER
    for group in ("users", "streams", "files", "storage"):
        known = COMMANDS["Accounts, streams and files"][group].commands  # type: ignore[union-attr]
        assert set(re.findall(rf"vinylvault {group} ([a-z-]+)", text)) <= set(known)


def test_the_index_leads_to_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for path in [*DOCS.glob("*.md"), *(page for page in PAGES if page.parent.parent == DOCS)]:
        assert path.name == "README.md" or f"({path.relative_to(DOCS)})" in index, path.name


def test_every_column_of_a_table_is_described() -> None:
    text = (DOCS / "reference/columns.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)) == set(COLUMNS)


def test_every_stable_name_is_described() -> None:
    table = (DOCS / "reference/python.md").read_text(encoding="utf-8").partition("## Covers")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`([A-Za-z_]+)", cell)} == set(image_cache.__all__)


def test_every_method_that_the_reference_names_exists() -> None:
    text = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    for section, kind in (("Files", image_cache.ImageCacheManager), ("Streams", image_cache.StreamImageManager)):
        part = text.partition(f"## {section}")[2].partition("##")[0]
        names = re.findall(r"`([a-z_]+)`", part)
        assert len(names) >= 8
        assert [name for name in names if not hasattr(kind, name) and name != "with"] == []
