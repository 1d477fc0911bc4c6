"""Commands in documents do what the documents say: those below a mark `<!-- run: TEXT -->` run, and print TEXT."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.inside import PASSWORD
from tests.support.origin import Origin, jpeg
from tests.support.vault import ROOT, Vault

MARKED = re.compile(r"<!-- run:([^\n]*?)-->\n```sh\n(.*?)```", re.DOTALL)
DOCUMENTS = sorted(
    path for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")] if MARKED.search(path.read_text("utf-8"))
)
NAME = "ida"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vault, Origin, Path]]:
    """A running vault with 20 records and an operator, and a folder with what the documents name: a table, a photo, a password."""
    folder = tmp_path_factory.mktemp("documents")
    desk = folder / "desk"
    (desk / "bin").mkdir(parents=True)
    command = desk / "bin/vinylvault"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m image_cache.cli "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (desk / "photo.jpg").write_bytes(jpeg(90, 60))
    (desk / "password.txt").write_text(PASSWORD)
    with Origin() as origin, Vault(folder / "data", trusted=(origin.base,)) as vault:
        origin.put("/low-water.jpg", jpeg(300, 300))
        origin.put("/volume.nii.gz", b"volume" * 1000, content_type="application/octet-stream")
        lines = [f"Staithe,Title {number},{origin.url('/low-water.jpg')}\n" for number in range(20)]
        (desk / "records.csv").write_text("artist,title,cover_url\n" + "".join(lines))
        vinylvault = [sys.executable, "-m", "image_cache.cli"]
        for said, *arguments in (("", "import", desk / "records.csv"), (PASSWORD, "users", "add", NAME, "--role", "operator")):
            subprocess.run([*vinylvault, *arguments], cwd=ROOT, env=vault.env, input=said, text=True, check=True)
        yield vault, origin, desk


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_document_do_what_it_says(document: Path, desk: tuple[Vault, Origin, Path]) -> None:
    """All blocks of a document run in one shell, one after the other, as a reader would type them."""
    vault, origin, folder = desk
    if "curl " in document.read_text(encoding="utf-8") and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    blocks = [(text.strip(), block) for text, block in MARKED.findall(document.read_text(encoding="utf-8"))]
    script = "".join(f"{block}\necho; echo '=== {number}'\n" for number, (_, block) in enumerate(blocks))
    script = script.replace("http://localhost:5000", vault.url).replace("https://covers.example", origin.base)
    env = {**vault.env, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    said = re.split(r"\n=== \d+\n", done.stdout)
    for (expected, block), text in zip(blocks, said, strict=False):
        assert expected in text, f"{block}\nsays {text}\n{done.stderr}"
    assert len(said) == len(blocks) + 1, done.stderr
    assert done.returncode == 0, done.stderr


def test_the_ten_recipes_are_run() -> None:
    text = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")
    assert len(MARKED.findall(text)) == text.count("```sh") == 10
