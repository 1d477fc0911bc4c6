"""The privacy self-test: every address that a stream gives out, asked for as everybody who could, compared with the policy.

It asks the application itself, through the whole of it, and pretends to be somebody in a place that no request can reach.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from image_cache.models import ANONYMOUS, Stream, StreamImage, Viewer, may_edit, may_see
from image_cache.services import Services
from image_cache.web.context import EXTENSION
from image_cache.web.streams.media import ORIGINAL
from image_cache.web.streams.view_models import SIZES, address
from image_cache.web.streams.viewer import PRETEND, as_kind

# The first one shows whether validators are judged before the viewer, and carries no bytes.
WAYS: tuple[tuple[str, dict[str, str]], ...] = (
    ("GET", {"If-None-Match": "*"}),
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"Range": "bytes=0-9"}),
)
NOWHERE = "192.0.2.1"  # an address for documentation: not this machine, and nobody's


@dataclass(frozen=True, slots=True)
class PrivacyFinding:
    """One answer that is not what the policy says."""

    kind: str
    method: str
    address: str
    found: str


@dataclass(slots=True)
class PrivacyReport:
    """What was asked, as whom, and what was wrong."""

    stream: str
    kinds: tuple[str, ...]
    asked: int = 0
    wrong: list[PrivacyFinding] = field(default_factory=list)


def run_selftest(app: Flask, stream: Stream, *, is_thorough: bool = True) -> PrivacyReport:
    """Ask as a stranger, somebody else, a subscriber and the owner, a dozen questions for each image.

    A thorough one asks each of them in four ways, a page's only in the one that costs least.
    """
    services: Services = app.extensions[EXTENSION]
    images = services.streams.rows.images(stream.id)
    kinds = {
        "stranger": ANONYMOUS,
        "somebody else": Viewer(account_id=0, name="somebody else", role="owner"),
        "subscriber": as_kind("subscriber", stream),
        "owner": Viewer(account_id=stream.owner_id, name=stream.owner_name, role="operator", owns=frozenset({stream.id})),
    }
    report = PrivacyReport(stream.slug, tuple(kinds))
    for kind, viewer in kinds.items():
        _Asker(app, report, kind, viewer, stream).ask(images, WAYS if is_thorough else WAYS[:1])
    return report


class _Asker:
    """Asks as one viewer."""

    def __init__(self, app: Flask, report: PrivacyReport, kind: str, viewer: Viewer, stream: Stream) -> None:
        self._app = app
        self._client = Client(app, use_cookies=False)
        self._report = report
        self._kind = kind
        self._viewer = viewer
        self._stream = stream

    def ask(self, images: list[StreamImage], ways: Sequence[tuple[str, dict[str, str]]]) -> None:
        seen = [image for image in images if may_see(self._viewer, self._stream, image)]
        for image in images:
            for place, is_open in self._places(image):
                for method, headers in ways:
                    self._judge(method, place, self._get(method, place, headers), is_open)
        hidden = {image.image_id for image in images} - {image.image_id for image in seen}
        slug = self._stream.slug
        for place in (
            f"/streams/{slug}",
            "/streams",
            f"/api/streams/{slug}/images",
            f"/api/streams/{slug}/stats",
            "/api/streams",
        ):
            answer = self._get("GET", place, {})
            text = answer.get_data(as_text=True)
            for image_id in sorted(hidden):
                if image_id in text:
                    self._found("GET", place, f"names the hidden image {image_id}")
        numbers = self._get("GET", f"/api/streams/{slug}/stats", {})
        if numbers.status_code == 200 and numbers.get_json()["total"] != len(seen):
            self._found("GET", f"/api/streams/{slug}/stats", f"counts {numbers.get_json()['total']}, {len(seen)} may be seen")
        for image in images:
            words = " ".join((image.title, image.description)).strip()
            if words and image.image_id in hidden:
                text = self._get("GET", "/api/streams", {}, q=words[:100]).get_data(as_text=True)
                if image.image_id in text:
                    self._found("GET", "/api/streams?q=", f"finds the hidden image {image.image_id}")

    def _places(self, image: StreamImage) -> Iterator[tuple[str, bool]]:
        is_seen, is_edited = may_see(self._viewer, self._stream, image), may_edit(self._viewer, self._stream)
        yield address(image), is_seen
        for size in SIZES:
            yield address(image, size), is_seen
        yield address(image, ORIGINAL), is_edited
        yield f"/api/images/{image.image_id}", is_seen

    def _judge(self, method: str, place: str, answer: TestResponse, is_open: bool) -> None:
        got = answer.status_code
        if is_open and got not in (200, 206, 304, 503):  # 503: the storage does not answer, which is another matter
            self._found(method, place, f"answers {got}, and may be seen")
        elif not is_open and got != 404:
            self._found(method, place, f"answers {got}, and may not be seen")

    def _get(self, method: str, place: str, headers: dict[str, str], **query: str) -> TestResponse:
        self._report.asked += 1
        environ: dict[str, Any] = {"REMOTE_ADDR": NOWHERE, PRETEND: self._viewer}
        # A context of its own: what this request knows about its viewer must not answer for another one.
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
