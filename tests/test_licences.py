"""`docs/LICENCES.md` names every library that VinylVault runs with, under the licence that the installed one has."""

from importlib.metadata import PackageNotFoundError, distribution

import pytest

from tests.support.licences import EXTRAS, NOTES, document, pins, row
from tests.support.vault import ROOT
from tests.test_package import EXTRAS as OFFERED


def is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def test_the_document_says_what_the_installed_libraries_say() -> None:
    """Only rows of libraries that this version of Python does without may differ: `make licences` writes it on the oldest."""
    written = (ROOT / "docs/LICENCES.md").read_text(encoding="utf-8")
    left_out = [name for extra in ("", *EXTRAS) for name in pins(extra) if not is_installed(name)]
    lines = [line for line in written.splitlines() if not line.startswith(tuple(f"| {name} |" for name in left_out))]
    assert lines == document().splitlines(), "make licences"


def test_every_pinned_library_has_a_row() -> None:
    written = (ROOT / "docs/LICENCES.md").read_text(encoding="utf-8")
    assert set(EXTRAS) == set(OFFERED)
    assert {name for extra in ("", *EXTRAS) for name in pins(extra) if f"\n| {name} | " not in written} == set()


def test_a_library_under_a_gnu_licence_needs_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """pillow-heif calls itself BSD; only the licence files of its wheel say that x265 makes it GPL."""
    for name in ("mutagen", "pillow-heif"):
        monkeypatch.delitem(NOTES, name)
        with pytest.raises(ValueError, match="names a GNU licence"):
            row(name, distribution(name).version)
