"""Finds the test corpora (hostile images, SSRF vectors). They live outside the checkout; without them their tests are skipped, visibly."""

import csv
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("CORPUS_DIR", ROOT.parent / "shared" / "corpus"))


def corpus(name: str) -> Path:
    """Return the path of a corpus file or folder, or skip the test with the reason."""
    path = CORPUS / name
    if not path.exists():
        pytest.skip(f"corpus {name} not found; CORPUS_DIR names its folder")
    return path


def manifest(name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV of the corpora."""
    with corpus(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rows_to_test(name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV of the corpora as parameters; without the corpora one row, whose test is skipped by `corpus`."""
    return manifest(name) if (CORPUS / name).exists() else [{"file": "missing"}]
