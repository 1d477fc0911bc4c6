"""The file of the collection on a phone: opened from the disk, with the network off."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.browser.conftest import collection
from tests.support.origin import Origin
from tests.support.vault import ROOT, Vault


def test_the_file_is_searched_without_a_network(chromium: Any, tmp_path: Path) -> None:
    with Origin() as origin, Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums(
            [*collection(origin), {"artist": "Björk", "title": "Café del Mär", "label": "Staithe", "catno": "ST-1 77"}]
        )
        command = [sys.executable, "-m", "image_cache.cli", "take-along", str(tmp_path / "records.html")]
        written = subprocess.run(command, env=vault.env, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "151 records" in written.stdout
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    context.set_offline(True)
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"file://{tmp_path / 'records.html'}")
    seen = "[...document.querySelectorAll('li')].filter((one) => !one.hidden).length"
    assert page.evaluate(seen) == 151
    field = page.locator("input")
    for words, count in (("bjork cafe", 1), ("CAFÉ", 1), ("st177", 1), ("ada slow", 2), ("", 151)):
        field.fill(words)
        assert page.evaluate(seen) == count, words
    field.fill("nothing of the kind")
    assert page.locator("#none").inner_text() == "You do not have “nothing of the kind”."
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    context.close()
