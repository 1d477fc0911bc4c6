"""Pages without data: about, more, the list of keys; and the files of the pages themselves."""

import json
import sys
from importlib import metadata

from flask import Blueprint, Response, abort, render_template, request, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

from image_cache import __version__
from image_cache.web.access import Role, declare_access
from image_cache.web.assets import asset, assets_version, joined_sheets
from image_cache.web.context import STATIC_DIR, services
from image_cache.web.forwarded import url_prefix
from image_cache.web.responses import FOREVER, page_response

site = declare_access(read=Role.VISITOR)(Blueprint("site", __name__))

ICON_SIZES = (192, 512)  # pixels of a side
GROUND = "#f2f2ef"  # --ground of tokens.css in the light
PARTS = ("flask", "gunicorn", "pillow", "requests", "urllib3")


@site.get("/assets/<version>/<path:name>")
def assets(version: str, name: str) -> Response:
    """Return one of our own files; cached forever if the URL carries the current version."""
    answer = send_from_directory(STATIC_DIR, name, conditional=True)
    answer.headers["Cache-Control"] = FOREVER if version == assets_version() else "no-cache"
    return answer


@site.get("/assets/<version>/sheets/<names>.css")
def sheets(version: str, names: str) -> Response:
    """Return several style sheets as one, as `stylesheet` names them."""
    text = joined_sheets(names)
    if text is None:
        abort(404)
    answer = Response(text, mimetype="text/css")
    answer.add_etag()
    answer.headers["Cache-Control"] = FOREVER if version == assets_version() else "no-cache"
    answer.make_conditional(request)
    return answer


@site.get("/manifest.webmanifest")
def manifest() -> Response:
    """Return what a phone needs to put the wall on its home screen (W3C Web Application Manifest)."""
    home = f"{url_prefix()}/"
    icons = [
        {
            "src": f"{url_prefix()}{asset(f'img/icon-{size}.png')}",
            "sizes": f"{size}x{size}",
            "type": "image/png",
            "purpose": "any maskable",
        }
        for size in ICON_SIZES
    ]
    colours = {"background_color": GROUND, "theme_color": GROUND}
    body = {"name": "VinylVault", "short_name": "Vault", "id": home, "start_url": home, "scope": home, "display": "standalone"}
    return Response(json.dumps({**body, **colours, "icons": icons}), mimetype="application/manifest+json")


@site.get("/keys")
def keys() -> AnyResponse:
    return page_response(render_template("keys.html", keys=KEYS))


@site.get("/more")
def more() -> AnyResponse:
    return page_response(render_template("more.html"))


@site.get("/about")
def about() -> AnyResponse:
    versions = [("VinylVault", __version__), ("Python", ".".join(map(str, sys.version_info[:3])))]
    versions += [(name.capitalize(), found) for name in PARTS if (found := metadata_version(name))]
    return page_response(render_template("about.html", versions=versions, total=services().library.count()))


def metadata_version(name: str) -> str:
    """Return the installed version of a distribution, empty if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


KEYS = (
    (
        "Go to",
        (
            ("Search", ("/",)),
            ("Spin a record", ("S",)),
            ("Records", ("G", "R")),
            ("Wantlist", ("G", "W")),
            ("Do I have it?", ("G", "H")),
            ("Streams", ("G", "S")),
            ("Dashboard", ("G", "D")),
            ("About", ("G", "A")),
        ),
    ),
    (
        "On the wall",
        (
            ("Move", ("←", "↑", "→", "↓")),
            ("Open", ("Enter",)),
            ("First / last record", ("Home", "End")),
            ("Jump to a letter", ("Shift", "A to Z")),
            ("Smaller / larger covers", ("-", "+")),
            ("Select a record", ("X",)),
        ),
    ),
    ("On a record", (("Previous / next record", ("←", "→")), ("I played it", ("P",)), ("Back to the wall", ("Esc",)))),
    (
        "In a stream",
        (
            ("Previous / next image", ("←", "→")),
            ("Zoom in", ("Z",)),
            ("Select an image", ("X",)),
            ("Move the selected to the trash", ("Delete",)),
            ("Edit a title", ("F2",)),
            ("Back to the stream", ("Esc",)),
        ),
    ),
    ("Anywhere", (("Show this list", ("?",)), ("Close", ("Esc",)))),
)
