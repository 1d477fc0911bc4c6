"""A vault with a stream and its possible viewers: a visitor, another account, a subscriber, a co-owner, the owner."""

import io
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_cache.models import ImageVisibility, StreamImage
from image_cache.streams import Upload
from tests.support.inside import PASSWORD, Inside, form_token, page_token
from tests.support.pictures import encoded, noise

SLUG = "evening"
ROLES = {"other": "owner", "subscriber": "viewer", "co-owner": "owner", "owner": "owner"}
ACTORS = ("stranger", *ROLES)
KINDS = tuple(ImageVisibility)


def photo(seed: int = 1, width: int = 90, height: int = 60, format_: str = "JPEG") -> bytes:
    return encoded(noise("RGB", width, height, seed), format_)


class Stage:
    """The stream of one vault and its people. `images` holds one image of each visibility."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.streams = inside.services.streams
        for name, role in ROLES.items():
            inside.account(role, name)
        owner = self.streams.members.viewer("owner")
        self.stream = self.streams.create_stream("An evening", SLUG, owner=owner)
        self.streams.members.add(self.stream, "subscriber", "subscriber")
        self.streams.members.add(self.stream, "co-owner", "co-owner")
        self._clients: dict[str, FlaskClient] = {}
        self._seed = 100
        self.images = {kind: self.add(kind, title=f"Title of {kind.value}") for kind in KINDS}

    def add(self, kind: ImageVisibility, *, title: str = "", is_sensitive: bool = False, body: bytes = b"") -> StreamImage:
        """Upload another image."""
        self._seed += 1
        upload = Upload(body or photo(self._seed), f"{self._seed}.jpg", kind, title, is_sensitive=is_sensitive)
        return self.streams.uploads.store(self.stream, upload)

    def client(self, actor: str) -> FlaskClient:
        """Return the browser of an account, logged in once."""
        if actor not in self._clients:
            client = self.inside.stranger()
            if actor != "stranger":
                self.login(client, actor)
            self._clients[actor] = client
        return self._clients[actor]

    def login(self, client: FlaskClient, name: str) -> None:
        answer = client.post("/login", data={"name": name, "password": PASSWORD, "csrf_token": form_token(client)})
        assert answer.status_code == 303, answer.text

    def ask(self, actor: str, method: str, path: str, **named: Any) -> TestResponse:
        """Ask as a page of ours would: with the token, when something changes."""
        client = self.client(actor)
        headers = dict(named.pop("headers", {}))
        if method not in ("GET", "HEAD"):
            headers["X-CSRFToken"] = page_token(client)
        return client.open(path, method=method, headers=headers, **named)


def sees(actor: str, kind: ImageVisibility) -> bool:
    """Say who may see what, independently of the program."""
    return {
        ImageVisibility.PUBLIC: True,
        ImageVisibility.SUBSCRIBERS: actor in ("subscriber", "co-owner", "owner"),
        ImageVisibility.PRIVATE: actor in ("co-owner", "owner"),
    }[kind]


def edits(actor: str) -> bool:
    return actor in ("co-owner", "owner")


def files(*bodies: tuple[bytes, str], **fields: str) -> dict[str, Any]:
    return {**fields, "files": [(io.BytesIO(body), name) for body, name in bodies]}


def multipart(fields: dict[str, str], bodies: tuple[bytes, ...]) -> tuple[bytes, str]:
    """Return the body of a form with files as it goes over the wire, and its content type."""
    edge = "edge-of-a-part"
    out = io.BytesIO()
    for name, value in fields.items():
        out.write(f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for number, body in enumerate(bodies):
        out.write(f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{number}.jpg"\r\n'.encode())
        out.write(b"Content-Type: image/jpeg\r\n\r\n" + body + b"\r\n")
    out.write(f"--{edge}--\r\n".encode())
    return out.getvalue(), f"multipart/form-data; boundary={edge}"


def stream_arguments(inside: Inside) -> dict[str, object]:
    """Put a public image into a stream, and return what its addresses are made of."""
    image_id = inside.services.streams.upload_stream_image("evening", photo(), "a.jpg")
    return {
        "slug": "evening",
        "image_id": image_id,
        "size": "thumb",
        "page": "stream_details",
        "token": "nobody",
        "code": shared_code(inside),
    }


def shared_code(inside: Inside) -> str:
    """Share the stream of `stream_arguments` by a link that takes images, and return its code."""
    inside.account("owner", "sharer")
    streams = inside.services.streams
    stream = streams.find_stream("evening")
    assert stream is not None
    return streams.shares.create(stream, streams.members.viewer("sharer"), may_upload=True)[0]
