"""What a program without any of our ideas would do: Flask's `send_file` for hits, Pillow straight from the manual for misses."""

import io
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from flask import Flask, Response, abort, send_file
from PIL import Image

YEAR_S = 31_536_000


def files_app() -> Flask:
    """Serve the files of `$BASELINE_FOLDER`, with ETag and caching headers, as a first version would."""
    folder = Path(os.environ["BASELINE_FOLDER"]).resolve()
    app = Flask("baseline")

    @app.get("/<name>")
    def picture(name: str) -> Response:
        if not (folder / name).is_file():
            abort(404)
        return send_file(folder / name, mimetype="image/webp", conditional=True, max_age=YEAR_S)

    return app


def whitenoise_app() -> object:
    """Serve the files of `$BASELINE_FOLDER` by whitenoise, which keeps their headers in memory. Needs `pip install whitenoise`."""
    from whitenoise import WhiteNoise

    app = WhiteNoise(lambda environ, start: start("404 Not Found", []) or [b""], max_age=YEAR_S)
    app.add_files(os.environ["BASELINE_FOLDER"])
    return app


def fetch_and_render(urls: Sequence[str], folder: Path) -> None:
    """Fetch each image and store it in two sizes, each from a full decode, as a first version would."""
    for number, url in enumerate(urls):
        with urllib.request.urlopen(url, timeout=30) as answer:
            body = answer.read()
        for edge_px in (600, 300):
            with Image.open(io.BytesIO(body)) as picture:
                small = picture.convert("RGB")
                small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS, reducing_gap=None)
                small.save(folder / f"{number}-{edge_px}.webp", quality=85)


if __name__ == "__main__":
    import sys

    fetch_and_render(sys.stdin.read().split(), Path(sys.argv[1]))
