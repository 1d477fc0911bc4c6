"""Templates that were compiled at the installation: the same pages, without compiling; what is out of date is compiled again."""

import re
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import Environment

from image_cache.web import compiled_templates
from image_cache.web.compiled_templates import compile_templates, use_compiled_templates
from tests.support.inside import Inside

SECRET = re.compile(r"[A-Za-z0-9_.-]{20,}")  # another one on each page


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compiled_templates, "FOLDER", tmp_path / "compiled")
    return tmp_path / "compiled"


@pytest.fixture
def compiled_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The templates that were compiled since."""
    names: list[str] = []
    compile_one = Environment.compile

    def noted(self: Environment, source: str, name: str | None = None, *rest: object, **more: object) -> object:
        names.append(str(name))
        return compile_one(self, source, name, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Environment, "compile", noted)
    return names


def test_a_page_is_the_same_and_nothing_is_compiled(folder: Path, compiled_here: list[str], inside: Inside) -> None:
    assert compile_templates(inside.app) == len(compiled_here) == len(list(folder.iterdir())) > 100
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    before = inside.app.test_client().get("/keys").text
    compiled_here.clear()
    after = again(inside.app).test_client().get("/keys").text
    assert SECRET.sub("", after) == SECRET.sub("", before)
    assert compiled_here == []


def test_what_changed_or_is_broken_is_compiled_again_and_not_kept(folder: Path, compiled_here: list[str], inside: Inside) -> None:
    compile_templates(inside.app)
    for path in folder.iterdir():
        path.write_bytes(b"not what was written")
    compiled_here.clear()
    assert again(inside.app).test_client().get("/keys").status_code == 200
    assert "base.html" in compiled_here
    assert {path.read_bytes() for path in folder.iterdir()} == {b"not what was written"}


def again(app: Flask) -> Flask:
    """Return the application as another process would have it: nothing compiled is in memory."""
    app.jinja_env.cache.clear()  # type: ignore[union-attr]
    use_compiled_templates(app)
    return app
