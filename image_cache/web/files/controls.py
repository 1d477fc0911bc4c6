"""`show_cache_controls()` from Python: the controls of the file cache as HTML, inside a Flask request or without one."""

from typing import Any

from flask import current_app, has_request_context
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from image_cache.files.manager import get_cache_stats
from image_cache.web.context import TEMPLATE_DIR

MACRO = "parts/cache_controls.html"


def show_cache_controls() -> Markup:
    """Return the figures of the file cache as HTML; in a request of an operator with the forms that change it.

    Inside the application these are the files of the vault. Elsewhere they are those of `get_cache_manager`, without forms: there
    is no server to send them to.
    """
    if has_request_context():
        macro: Any = current_app.jinja_env.get_template(MACRO).make_module(_context()).show_cache_controls  # type: ignore[attr-defined]
        return Markup(macro())  # noqa: S704  our own template, which escapes what it shows
    environment = Environment(loader=FileSystemLoader(TEMPLATE_DIR), autoescape=True)
    macro = environment.get_template(MACRO).module.show_cache_controls  # type: ignore[attr-defined]
    return Markup(macro(stats=get_cache_stats(), operates=False))  # noqa: S704


def _context() -> dict[str, Any]:
    context: dict[str, Any] = {}
    current_app.update_template_context(context)
    return context
