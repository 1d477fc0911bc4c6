"""Bytes that a web server in front sends in our place, once we have allowed it: `X-Accel-Redirect`, as nginx knows it."""

from urllib.parse import quote

from flask import Response, request

from image_cache.web.context import services

OFFER = "X-Front"  # the server in front says that it can; asked for directly, we send the bytes ourselves


def handed_over(answer: Response, area: str, path: str) -> bool:
    """Have the server in front send the file at `path` of an area with the headers of this answer; False when it cannot.

    The answer must be whole: a 304 or a refusal needs no bytes. nginx answers a Range by itself.
    """
    folder = services().settings.FRONT_DIR
    if folder is None or request.headers.get(OFFER) != "nginx" or answer.status_code not in (200, 206):
        return False
    if not (folder / area / path).is_file():
        return False
    answer.status_code = 200
    answer.response = []
    for name in ("Content-Length", "Content-Range", "Accept-Ranges"):
        answer.headers.pop(name, None)
    answer.headers["X-Accel-Redirect"] = f"/_kept/{area}/{quote(path)}"
    return True
