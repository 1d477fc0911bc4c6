"""What our worker leans on inside gunicorn is listed, is there, and where it is not, gunicorn's own worker serves."""

import ast
import logging
from pathlib import Path

import pytest

from image_cache.server.gunicorn_names import FALLBACK, NAMES, unknown_names, worker_class
from image_cache.server.worker import BufferingWorker
from tests.support import vault as vaults
from tests.support.origin import Origin, jpeg
from tests.support.vault import ROOT, Vault, wait_until

RUN = "gunicorn.workers.gthread:ThreadWorker.run"


def test_the_installed_gunicorn_has_every_name() -> None:
    assert unknown_names() == []
    assert worker_class() is BufferingWorker


@pytest.mark.parametrize(
    ("names", "unknown"),
    [
        ({RUN: ("murder_keepalived", "name_of_tomorrow")}, f"{RUN}: name_of_tomorrow"),
        ({"gunicorn.workers.gthread:ThreadWorker.go": ()}, "gunicorn.workers.gthread:ThreadWorker.go"),
        ({"gunicorn.workers.tomorrow:Worker.run": ()}, "gunicorn.workers.tomorrow:Worker.run"),
    ],
)
def test_an_unknown_name_is_logged_and_leaves_the_work_to_gunicorn(
    names: dict[str, tuple[str, ...]], unknown: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert worker_class(names) == FALLBACK
    assert unknown in caplog.text


def test_every_method_of_gunicorn_that_is_replaced_or_called_is_listed() -> None:
    """A method of ours that gunicorn no longer calls would fail silently."""
    from gunicorn.workers import gthread

    listed = {name for names in NAMES.values() for name in names} | {where.rpartition(".")[2] for where in NAMES}
    for path in ("worker.py", "keeping.py", "single_process.py"):
        tree = ast.parse((ROOT / "image_cache/server" / path).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and hasattr(gthread.ThreadWorker, node.name) and not node.name.startswith("__"):
                assert node.name in listed | {"handle_quit"}, f"{path}: {node.name}"


@pytest.mark.slow
@pytest.mark.server
def test_the_worker_of_gunicorn_serves_pages_and_covers(tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vaults, "SERVE", [*vaults.SERVE, "-k", FALLBACK])
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as vault:
        vault.import_albums([{"artist": "A", "title": "B", "cover_url": origin.put("/a.jpg", jpeg(300, 300))}])
        page = vault.get("/", Accept="text/html").body.decode()
        path = page[page.index("/cache/thumbnails") :].partition(" ")[0].partition('"')[0]
        wait_until(lambda: vault.get(path).status == 200)
        assert vault.get(path).headers["content-type"] == "image/webp"
        assert vault.process is not None
        number = vault.process.pid
        assert Path(f"/proc/{number}/task/{number}/children").read_text(encoding="ascii"), "an arbiter with a worker"
