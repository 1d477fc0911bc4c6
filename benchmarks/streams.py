"""An owner's 5 MB photograph until its thumbnail is there, and a gallery of 50 warm images, in the process that serves.

    python -m benchmarks.streams [--uploads 20] [--pages 100]

Everything but the socket is real: the form is parsed, the policy asked, the image decoded in its child, original and row fsynced.
"""

import argparse
import tempfile
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from benchmarks.measure import machine, spread, table, timed
from benchmarks.pictures import cover
from image_cache.config import Settings
from image_cache.models import ImageVisibility, Stream, Viewer
from image_cache.streams import Upload
from image_cache.web.streams.viewer import IMPERSONATED

SLUG = "evening"
PHOTO_BYTES = 5_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=20)
    parser.add_argument("--pages", type=int, default=100)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(DATA_DIR=Path(folder), MAX_STREAM_IMAGES_PER_STREAM=1000))
        try:
            rows = measured(app, options.uploads, options.pages)
        finally:
            app.extensions["vinylvault"].close()
    table(("", "median ms", "p90", "p99", "max"), rows)


def measured(app: Flask, uploads: int, pages: int) -> list[tuple[object, ...]]:
    streams = app.extensions["vinylvault"].streams
    stream = fifty_images(app)
    photos = iter([photo(number) for number in range(uploads + 1)])

    def upload() -> None:
        image = streams.uploads.store(stream, Upload(next(photos), "photo.jpg", ImageVisibility.PRIVATE))
        assert streams.images.body(image, "stream_thumb")

    client = app.test_client()
    stranger = {IMPERSONATED: Viewer()}
    thumbs = [image.image_id for image in streams.rows.images(stream.id)[:50]]
    rows: list[tuple[object, ...]] = [("upload of 5 MB to its thumbnail", *in_ms(timed(upload, uploads)))]
    rows.append(("gallery of 50, the page", *in_ms(timed(lambda: get(client, f"/streams/{SLUG}", stranger), pages))))
    rows.append(("gallery of 50, its thumbnails", *in_ms(timed(lambda: gallery(client, thumbs, stranger), pages // 5))))
    return rows


def fifty_images(app: Flask) -> Stream:
    streams = app.extensions["vinylvault"].streams
    stream: Stream = streams.create_stream("Evening", SLUG)
    for number in range(50):
        streams.uploads.store(stream, Upload(cover(number, 800), f"{number}.jpg", ImageVisibility.PUBLIC))
    return stream


def stream_of_fifty(folder: Path) -> list[str]:
    """Make a vault with one public stream of 50 images; return the addresses of their thumbnails."""
    app = create_app(Settings(DATA_DIR=folder, MAX_STREAM_IMAGES_PER_STREAM=1000))
    try:
        images = app.extensions["vinylvault"].streams.rows.images(fifty_images(app).id)
    finally:
        app.extensions["vinylvault"].close()
    return [f"/streams/{SLUG}/images/{image.image_id}/thumb" for image in images]


def gallery(client: FlaskClient, image_ids: list[str], environ: dict[str, object]) -> None:
    for image_id in image_ids:
        get(client, f"/streams/{SLUG}/images/{image_id}/thumb", environ)


def get(client: FlaskClient, path: str, environ: dict[str, object]) -> None:
    answer = client.get(path, environ_overrides=environ, headers={"Accept": "text/html"})
    assert answer.status_code == 200, path


def photo(number: int) -> bytes:
    """Return a JPEG of about 5 MB, as a phone takes it: 12 megapixels."""
    body = cover(number, 3500, 92)
    return body + bytes(max(0, PHOTO_BYTES - len(body)))


def in_ms(times: list[float]) -> tuple[str, ...]:
    return tuple(f"{value / 1000:.1f}" for value in spread(times))


if __name__ == "__main__":
    main()
