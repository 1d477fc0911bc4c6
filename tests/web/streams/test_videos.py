"""Videos of a stream: who gets which bytes, by ranges, in ZIP, link and trash; refusals in words; no byte left at the end."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.models import ImageVisibility, StreamImage
from image_cache.streams import Upload
from image_cache.web.streams.media import VIDEO
from image_cache.web.streams.privacy_check import run_selftest
from image_cache.web.streams.view_models import SIZES, address
from tests.support import openapi
from tests.support.inside import Inside
from tests.support.stage import ACTORS, KINDS, SLUG, Stage, edits, files, photo, sees
from tests.support.videos import SECRETS, video

HEADERS: list[dict[str, str]] = [{}, {"If-None-Match": "*"}, {"Range": "bytes=0-9"}, {"Range": "bytes=999999999-"}]
PUBLIC, PRIVATE = ImageVisibility.PUBLIC, ImageVisibility.PRIVATE


class Cinema(Stage):
    """A stream with one video of each visibility besides its images."""

    def __init__(self, inside: Inside) -> None:
        super().__init__(inside)
        made = zip(KINDS, ("mp4", "mov", "mov"), ("red", "blue", "yellow"), strict=True)
        self.bodies = {kind: video(3, suffix=suffix, colour=colour) for kind, suffix, colour in made}
        self.videos = {kind: self.film(kind, body) for kind, body in self.bodies.items()}

    def film(self, kind: ImageVisibility, body: bytes, *, is_sensitive: bool = False) -> StreamImage:
        upload = Upload(body, "party.mov", kind, f"Film for {kind.value}", is_sensitive=is_sensitive)
        return self.streams.uploads.store(self.stream, upload)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cinema]:
    """A stream that every test finds as it was made: look, and change nothing."""
    with Inside(tmp_path_factory.mktemp("videos") / "vault") as inside:
        yield Cinema(inside)


@pytest.fixture
def cinema(tmp_path: Path) -> Iterator[Cinema]:
    with Inside(tmp_path / "vault") as inside:
        yield Cinema(inside)


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_every_address_of_a_video_follows_the_policy(shown: Cinema, actor: str, kind: ImageVisibility) -> None:
    image = shown.videos[kind]
    for size in (*SIZES, VIDEO, "download", "original"):
        is_open = edits(actor) if size == "original" else sees(actor, kind)
        for method in ("GET", "HEAD"):
            for headers in HEADERS[: 1 if size == "download" else None]:  # of which a client gets 120 a minute
                answer = shown.ask(actor, method, address(image, size), headers=headers)
                if is_open:
                    assert answer.status_code in (200, 206, 304, 416), f"{size} {method} {headers}"
                else:
                    assert answer.status_code == 404, f"{size} {method} {headers}"
                    assert not any(secret in answer.data for secret in SECRETS)
    if sees(actor, kind):
        page = shown.ask(actor, "GET", address(image)).text
        assert f'<source src="{address(image, VIDEO)}"' in page


@pytest.mark.parametrize("actor", ACTORS)
def test_viewers_never_get_the_place(shown: Cinema, actor: str) -> None:
    body, image = shown.bodies[PUBLIC], shown.videos[PUBLIC]
    got = shown.ask(actor, "GET", address(image, VIDEO))
    assert (got.status_code, len(got.data), got.mimetype) == (200, len(body), "video/mp4")
    assert not any(secret in got.data for secret in SECRETS)
    kept = shown.ask(actor, "GET", address(image, "download"))
    if edits(actor):
        assert kept.data == body
    else:
        assert kept.data == got.data
        assert "Film for public.mp4" in kept.headers["Content-Disposition"]
    original = shown.ask(actor, "GET", address(image, "original"))
    assert (original.status_code == 200 and original.data == body) is edits(actor)


def test_a_range_is_the_same_range_of_the_whole(shown: Cinema) -> None:
    image = shown.videos[PRIVATE]
    whole = shown.ask("owner", "GET", address(image, VIDEO))
    size = len(whole.data)
    for wanted, part in (
        ("bytes=0-99", whole.data[:100]),
        (f"bytes={size - 3000}-", whole.data[-3000:]),
        ("bytes=-500", whole.data[-500:]),
        ("bytes=1000-99999999", whole.data[1000:]),
    ):
        got = shown.ask("owner", "GET", address(image, VIDEO), headers={"Range": wanted})
        assert (got.status_code, got.data) == (206, part)
        assert int(got.headers["Content-Length"]) == len(part)
        assert got.headers["Content-Range"].endswith(f"/{size}")
    beyond = shown.ask("owner", "GET", address(image, VIDEO), headers={"Range": f"bytes={size}-"})
    assert beyond.status_code == 416
    for ignored in ("items=0-5", "bytes=5-1", "bytes=x", "bytes=-", "bytes=0-0,5-9", "bytes=" + "9" * 5000 + "-"):
        got = shown.ask("owner", "GET", address(image, VIDEO), headers={"Range": ignored})
        assert (got.status_code, len(got.data)) == (200, size), ignored
    assert shown.ask("owner", "GET", address(image, VIDEO), headers={"Range": "bytes=-0"}).status_code == 416
    tag = whole.headers["ETag"]
    assert shown.ask("owner", "GET", address(image, VIDEO), headers={"If-None-Match": tag}).status_code == 304
    old = shown.ask("owner", "GET", address(image, VIDEO), headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (old.status_code, len(old.data)) == (200, size)


def test_an_image_has_no_video(shown: Cinema) -> None:
    assert shown.ask("owner", "GET", address(shown.images[PUBLIC], VIDEO)).status_code == 404


def test_a_zip_has_the_video_as_its_viewer_gets_it(shown: Cinema) -> None:
    for actor in ("stranger", "owner"):
        found = zipfile.ZipFile(io.BytesIO(shown.ask(actor, "GET", f"/streams/{SLUG}/images.zip").data))
        assert found.testzip() is None
        bodies = [found.read(name) for name in found.namelist() if name.endswith((".mp4", ".mov"))]
        if actor == "owner":
            assert sorted(bodies) == sorted(shown.bodies.values())
        else:
            assert bodies == [shown.ask("stranger", "GET", address(shown.videos[PUBLIC], VIDEO)).data]


def test_the_privacy_check_covers_videos(shown: Cinema) -> None:
    report = run_selftest(shown.inside.app, shown.stream)
    assert report.wrong == []


def test_a_link_shows_the_video_and_allows_its_download_or_not(cinema: Cinema) -> None:
    owner = cinema.streams.members.viewer("owner")
    image = cinema.videos[PUBLIC]
    for may_download in (True, False):
        code, share = cinema.streams.shares.create(cinema.stream, owner, may_download=may_download)
        place = f"/s/{code}/images/{image.image_id}"
        got = cinema.ask("stranger", "GET", f"{place}/video", headers={"Range": "bytes=0-99"})
        assert (got.status_code, got.headers["Cache-Control"]) == (206, "private, no-cache")
        assert f'<source src="{place}/video"' in cinema.ask("stranger", "GET", place).text
        assert cinema.ask("stranger", "GET", f"{place}/download").status_code == (200 if may_download else 404)
        assert cinema.ask("stranger", "GET", f"/s/{code}/images/{cinema.videos[PRIVATE].image_id}/video").status_code == 404
        cinema.streams.shares.revoke(cinema.stream, share.id)
        assert cinema.ask("stranger", "GET", f"{place}/video").status_code == 404


def test_no_byte_of_a_video_is_left(cinema: Cinema) -> None:
    image, body = cinema.videos[PUBLIC], cinema.bodies[PUBLIC]
    at = body.index(b"mdat") + 4
    marker = body[at : at + 1500]  # as far as the first frame
    folder = cinema.inside.folder

    def left() -> list[Path]:
        return [path for path in folder.rglob("*") if path.is_file() and marker in path.read_bytes()]

    assert len(left()) == 1
    cinema.ask("owner", "POST", f"{address(image)}/delete")
    for actor in ACTORS:
        for size in (*SIZES, VIDEO, "download", "original"):
            assert cinema.ask(actor, "GET", address(image, size)).status_code == 404
    assert cinema.ask("owner", "GET", f"/streams/{SLUG}/trash/{image.image_id}").status_code == 200
    cinema.ask("owner", "POST", f"/streams/{SLUG}/trash/restore", data={"image": image.image_id})
    assert cinema.ask("stranger", "GET", address(image, VIDEO)).status_code == 200
    cinema.ask("owner", "DELETE", f"/api/images/{image.image_id}?for_good=true")
    assert left() == []
    assert not [path for path in folder.rglob("*") if image.image_id in path.name]
    assert cinema.ask("owner", "GET", address(image, VIDEO)).status_code == 404


def test_a_poster_that_was_evicted_is_made_again(cinema: Cinema) -> None:
    image = cinema.videos[PUBLIC]
    cinema.streams.images.delete_variants(image.image_id)
    assert cinema.streams.images.body(image, "stream_detail")
    assert cinema.streams.images.body(image, "stream_large")


def test_a_video_moves_and_is_copied_with_what_is_hidden_of_it(cinema: Cinema) -> None:
    me = cinema.streams.members.viewer("owner")
    other = cinema.streams.create_stream("Other", owner=me)
    for action in ("copy", "move"):
        result, _ = cinema.streams.selection.apply(
            me, cinema.stream, action, [cinema.videos[PUBLIC if action == "copy" else PRIVATE].image_id], other
        )
        assert not result.failed
    for image in cinema.streams.rows.images(other.id):
        got = cinema.ask("owner", "GET", address(image, VIDEO))
        assert got.status_code == 200
        assert not any(secret in got.data for secret in SECRETS)


def test_a_sensitive_video_shows_a_blurred_poster_first(cinema: Cinema) -> None:
    image = cinema.film(PUBLIC, video(2, colour="green"), is_sensitive=True)
    page = cinema.ask("stranger", "GET", address(image)).text
    assert "<video" not in page
    assert "Show video" in page
    assert "<video" in cinema.ask("stranger", "GET", f"{address(image)}?show=1").text


def send(stage: Stage, body: bytes, name: str = "party.mp4") -> dict[str, object]:
    answer = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((body, name)))
    row: dict[str, object] = answer.json["results"][0]
    return row | {"status": answer.status_code}


def test_a_video_is_uploaded_and_a_damaged_one_refused_in_words(cinema: Cinema) -> None:
    row = send(cinema, video(4, colour="white"))
    assert row["ok"] is True
    facts = cinema.ask("owner", "GET", f"/api/images/{row['image_id']}").json
    assert (facts["duration_s"], facts["dimensions"], facts["format"]) == (pytest.approx(4, abs=0.2), [320, 180], "MP4")
    assert facts["video_url"].endswith("/video")
    document = openapi.load()
    openapi.check(document, facts, document["components"]["schemas"]["Image"])
    assert send(cinema, video(4, colour="white"))["kind"] == "duplicate"
    before = sorted(path for path in cinema.inside.folder.rglob("*_original.*"))
    cut = send(cinema, video(5)[:-200])
    assert (cut["status"], cut["kind"]) == (415, "not-a-video")
    openapi.check(document, cut, document["components"]["schemas"]["UploadRow"])
    assert "cut off" in str(cut["reason"])
    assert send(cinema, video(5).replace(b"avcC", b"xxxx"))["kind"] == "not-a-video"
    assert sorted(path for path in cinema.inside.folder.rglob("*_original.*")) == before


PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXTINF:4,\n{secret}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{secret}'\n",
    "DASH": '<?xml version="1.0"?><MPD><Period><BaseURL>{secret}</BaseURL></Period></MPD>',
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_with_the_name_of_a_video_is_refused(tmp_path: Path, name: str) -> None:
    """Also behind the first box of a video; ffmpeg sees neither."""
    with Inside(tmp_path / "vault") as inside:
        stage = Stage(inside)
        secret = tmp_path / "secret.mp4"
        secret.write_bytes(video(2))
        playlist = PLAYLISTS[name].format(secret=secret).encode()
        assert send(stage, playlist)["kind"] == "not-an-image"
        row = send(stage, video(2)[:32] + playlist)
        assert (row["status"], row["kind"]) == (415, "not-a-video")
        assert len(list(inside.folder.rglob("*_original.*"))) == len(stage.images)


def test_a_server_without_ffmpeg_says_so(cinema: Cinema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    row = send(cinema, video(4, colour="white"))
    assert row["reason"] == "This server cannot store videos. An operator can install ffmpeg."
    assert "MOV" not in cinema.ask("owner", "GET", f"/streams/{SLUG}").text
    # What is stored is still shown, and images are stored.
    assert cinema.ask("stranger", "GET", address(cinema.videos[PUBLIC], VIDEO)).status_code == 200
    assert send(cinema, photo(1), "a.jpg")["ok"] is True


def test_videos_have_a_limit_of_their_own(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", MAX_VIDEO_UPLOAD_SIZE_MB=0.03, MAX_IMAGE_UPLOAD_SIZE_MB=0.02) as inside:
        stage = Stage(inside)
        large = video(10, size="640x360")
        assert len(large) > 30_000
        row = send(stage, large)
        assert (row["kind"], "The limit is 0.03 MB" in str(row["reason"])) == ("too-large", True)
        assert send(stage, photo(1, 600, 600), "a.jpg")["kind"] == "too-large"
    with Inside(tmp_path / "none", MAX_VIDEO_UPLOAD_SIZE_MB=0) as inside:
        assert "cannot store videos" in str(send(Stage(inside), video(4))["reason"])
