"""Privacy check: requests every URL of a stream as each kind of viewer, and compares the responses with the policy.

The requests run through the whole application; the viewer is impersonated where no request from outside can reach.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from image_cache.frozen import frozen
from image_cache.models import ANONYMOUS, Stream, StreamImage, Viewer
from image_cache.services import Services
from image_cache.visibility import may_edit, may_see
from image_cache.web.context import EXTENSION
from image_cache.web.streams.media import ORIGINAL, VIDEO
from image_cache.web.streams.view_models import SIZES, address
from image_cache.web.streams.viewer import IMPERSONATED, viewer_of_kind

# The first one shows whether validators are checked before the viewer, and its response has no body.
REQUESTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("GET", {"If-None-Match": "*"}),
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"Range": "bytes=0-9"}),
)
NOWHERE = "192.0.2.1"  # reserved for documentation: neither this server nor any other


@frozen
class PrivacyFinding:
    """One response that contradicts the policy."""

    kind: str
    method: str
    address: str
    found: str


@dataclass(slots=True)
class PrivacyCheckReport:
    """The number of requests, the viewers they were made as, and what was wrong."""

    stream: str
    kinds: tuple[str, ...]
    asked: int = 0
    wrong: list[PrivacyFinding] = field(default_factory=list)


def run_selftest(app: Flask, stream: Stream, *, is_thorough: bool = True) -> PrivacyCheckReport:
    """Request each image, also those in the trash, as a visitor, another owner, a subscriber and the owner, at a dozen URLs.

    A thorough check makes four different requests for each URL; the one of the page makes only the cheapest.
    """
    services: Services = app.extensions[EXTENSION]
    images = services.stream_queries.all_images(stream)
    trashed = [one.image for one in services.streams.trash.images(stream)]
    kinds = {
        "visitor": ANONYMOUS,
        "another account": Viewer(account_id=0, name="another account", role="owner"),
        "subscriber": viewer_of_kind("subscriber", stream),
        "owner": Viewer(account_id=stream.owner_id, name=stream.owner_name, role="operator", owns=frozenset({stream.id})),
    }
    report = PrivacyCheckReport(stream.slug, tuple(kinds))
    for kind, viewer in kinds.items():
        requests = REQUESTS if is_thorough else REQUESTS[:1]
        checker = _Checker(app, report, kind, viewer, stream)
        checker.check(images, requests)
        checker.check_trash(trashed, requests)
    return report


class _Checker:
    """Makes the requests of one viewer."""

    def __init__(self, app: Flask, report: PrivacyCheckReport, kind: str, viewer: Viewer, stream: Stream) -> None:
        self._app = app
        self._client = Client(app, use_cookies=False)
        self._report = report
        self._kind = kind
        self._viewer = viewer
        self._stream = stream

    def check(self, images: list[StreamImage], requests: Sequence[tuple[str, dict[str, str]]]) -> None:
        seen = [image for image in images if may_see(self._viewer, self._stream, image)]
        for image in images:
            for place, is_open in self._places(image):
                for method, headers in requests:
                    self._compare(method, place, self._get(method, place, headers), is_open)
        hidden = {image.image_id for image in images} - {image.image_id for image in seen}
        slug = self._stream.slug
        self._check_lists(hidden, "hidden image")
        numbers = self._get("GET", f"/api/streams/{slug}/stats", {})
        if numbers.status_code == 200 and numbers.get_json()["total"] != len(seen):
            self._found(
                "GET",
                f"/api/streams/{slug}/stats",
                f"reports {numbers.get_json()['total']} images, but only {len(seen)} are visible",
            )
        self._check_search([image for image in images if image.image_id in hidden], "hidden image")

    def check_trash(self, images: list[StreamImage], requests: Sequence[tuple[str, dict[str, str]]]) -> None:
        """No viewer finds an image of the trash where images are; in the trash itself only those who edit the stream do."""
        is_edited = may_edit(self._viewer, self._stream)
        for image in images:
            shown = f"/streams/{self._stream.slug}/trash/{image.image_id}"
            for place in (*(place for place, _ in self._places(image)), shown):
                for method, headers in requests:
                    self._compare(method, place, self._get(method, place, headers), is_edited and place == shown)
        self._check_lists({image.image_id for image in images}, "image of the trash")
        self._check_search(images, "image of the trash")

    def _check_lists(self, hidden: set[str], what: str) -> None:
        slug = self._stream.slug
        for place in (
            f"/streams/{slug}",
            f"/streams/{slug}.atom",
            "/streams",
            f"/api/streams/{slug}/images",
            f"/api/streams/{slug}/stats",
            "/api/streams",
        ):
            text = self._get("GET", place, {}).get_data(as_text=True)
            for image_id in sorted(hidden):
                if image_id in text:
                    self._found("GET", place, f"leaks the {what} {image_id}")

    def _check_search(self, images: list[StreamImage], what: str) -> None:
        for image in images:
            words = " ".join((image.title, image.description)).strip()
            if words:
                text = self._get("GET", "/api/streams", {}, q=words[:100]).get_data(as_text=True)
                if image.image_id in text:
                    self._found("GET", "/api/streams?q=", f"returns the {what} {image.image_id}")

    def _places(self, image: StreamImage) -> Iterator[tuple[str, bool]]:
        is_seen, is_edited = may_see(self._viewer, self._stream, image), may_edit(self._viewer, self._stream)
        yield address(image), is_seen
        for size in SIZES:
            yield address(image, size), is_seen
        if image.is_video:
            yield address(image, VIDEO), is_seen
        yield address(image, ORIGINAL), is_edited
        yield address(image, "download"), is_seen
        yield f"/api/images/{image.image_id}", is_seen

    def _compare(self, method: str, place: str, response: TestResponse, is_open: bool) -> None:
        got = response.status_code
        if is_open and got not in (200, 202, 206, 304, 503):  # 202: being rendered; 503: the storage does not answer
            self._found(method, place, f"returned {got}, but should be visible")
        elif not is_open and got != 404:
            self._found(method, place, f"returned {got}, but should be hidden")

    def _get(self, method: str, place: str, headers: dict[str, str], **query: str) -> TestResponse:
        self._report.asked += 1
        environ: dict[str, Any] = {"REMOTE_ADDR": NOWHERE, IMPERSONATED: self._viewer}
        # An application context of its own: `g` must not hold the viewer of the outer request.
        with self._app.app_context():
            return self._client.open(
                place,
                method=method,
                headers={"Accept": "text/html", **headers},
                query_string=query or None,
                environ_overrides=environ,
                base_url="http://localhost/",
            )

    def _found(self, method: str, place: str, what: str) -> None:
        self._report.wrong.append(PrivacyFinding(self._kind, method, place, what))
