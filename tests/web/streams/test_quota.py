"""The space of an owner: what counts, which uploads the server refuses before it stores a byte, and what each role reads about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.errors import SpaceExceeded
from image_cache.models import ImageVisibility
from image_cache.streams import Upload
from image_cache.web.streams.view_models import address
from tests.support.inside import Inside, page_token
from tests.support.stage import SLUG, Stage, files, photo
from tests.support.vault import Vault
from tests.support.visitor import Browser, prepared

PRIVATE = ImageVisibility.PRIVATE


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Inside(tmp_path / "vault") as inside:
        yield Stage(inside)


def owner_id(stage: Stage) -> int:
    assert stage.stream.owner_id is not None
    return stage.stream.owner_id


def used(stage: Stage) -> int:
    return stage.streams.quotas.space(owner_id(stage)).held.used_bytes


def limit(stage: Stage, left_bytes: int) -> None:
    """Leave so much space to the owner of the stream."""
    stage.streams.quotas.set_limit(owner_id(stage), f"{(used(stage) + left_bytes) / 1e6:.6f} MB")


def send(stage: Stage, actor: str, body: bytes) -> dict[str, object]:
    answer = stage.ask(actor, "POST", f"/api/streams/{SLUG}/images", data=files((body, "new.jpg")))
    row: dict[str, object] = answer.json["results"][0] | {"status": answer.status_code}
    return row


def test_what_is_in_the_trash_counts_until_it_is_deleted_for_good(stage: Stage) -> None:
    before = used(stage)
    assert before == sum(image.size_bytes for image in stage.images.values())
    image = stage.images[PRIVATE]
    stage.ask("owner", "POST", f"{address(image)}/delete")
    space = stage.streams.quotas.space(owner_id(stage))
    assert (space.held.used_bytes, space.held.trash_bytes) == (before, image.size_bytes)
    limit(stage, 500)
    row = send(stage, "owner", photo(1))
    assert (row["status"], row["kind"]) == (409, "no-space")
    assert "in the trash" in str(row["reason"])
    assert "in the trash" in stage.ask("owner", "GET", "/account").text
    stage.ask("owner", "DELETE", f"/api/images/{image.image_id}?for_good=true")
    assert used(stage) == before - image.size_bytes
    assert send(stage, "owner", photo(1))["ok"] is True


def test_a_stream_in_the_trash_counts_too(stage: Stage) -> None:
    before = used(stage)
    stage.ask("owner", "POST", f"/streams/{SLUG}/delete")
    space = stage.streams.quotas.space(owner_id(stage))
    assert (space.held.used_bytes, space.held.trash_bytes) == (before, before)


def test_others_are_refused_without_the_figures_of_the_owner(stage: Stage) -> None:
    limit(stage, 10)
    reason = str(send(stage, "co-owner", photo(1))["reason"])
    assert "The owner of this stream has not enough space left" in reason
    assert "MB" not in reason
    code, _ = stage.streams.shares.create(stage.stream, stage.streams.members.viewer("owner"), may_upload=True)
    page = stage.ask("stranger", "POST", f"/s/{code}/add", data=files((photo(1), "new.jpg")))
    assert page.status_code == 400
    assert "This stream accepts no more images." in page.text
    assert "MB:" not in page.text


def test_a_large_file_is_refused_by_its_length_alone(stage: Stage) -> None:
    limit(stage, 10)
    stored = bytes(400_000)
    answer = stage.ask("owner", "POST", f"/api/streams/{SLUG}/images", data=files((stored, "new.jpg")))
    assert answer.status_code == 409
    assert "Not enough space" in answer.json["error"]
    assert "results" not in answer.json  # no file was looked at
    others = stage.ask("co-owner", "POST", f"/api/streams/{SLUG}/images", data=files((stored, "new.jpg")))
    assert others.json["error"] == "The owner of this stream has not enough space left for this file."


@pytest.mark.parametrize("action", ["move", "copy"])
def test_an_image_goes_only_to_an_owner_who_has_space_for_it(stage: Stage, action: str) -> None:
    """Within the streams of one owner a move needs no space, and a copy does."""
    other = stage.streams.create_stream("Other", owner=stage.streams.members.viewer("other"))
    own = stage.streams.create_stream("Own", owner=stage.streams.members.viewer("owner"))
    stage.streams.quotas.set_limit(stage.streams.members.viewer("other").account_id or 0, "0.000001 MB")
    limit(stage, 0)
    image = stage.images[PRIVATE]
    me = stage.streams.members.viewer("owner")
    result, _ = stage.streams.selection.apply(me, stage.stream, action, [image.image_id], other)
    assert "not enough space" in result.failed[image.image_id]
    result, _ = stage.streams.selection.apply(me, stage.stream, action, [image.image_id], own)
    assert bool(result.done) is (action == "move")


def test_the_setting_is_for_all_and_an_account_can_have_its_own(tmp_path: Path) -> None:
    with Inside(tmp_path / "vault", STREAM_QUOTA_MB=1) as inside:
        stage = Stage(inside)
        assert stage.streams.quotas.left_bytes(stage.stream) == 1_000_000 - used(stage)
        with pytest.raises(SpaceExceeded, match="Delete images for good"):
            stage.streams.upload(stage.stream, Upload(photo(7, 700, 700, "BMP"), "a.jpg"))
        assert len(list((tmp_path / "vault").rglob("*_original.*"))) == len(stage.images)
        operator = inside.logged_in("operator")
        account = owner_id(stage)
        for text, left in (("5 GB", 5_000_000_000), ("2", 2_000_000), ("none", None), ("", 1_000_000)):
            form = {"limit": text, "csrf_token": page_token(operator)}
            assert operator.post(f"/accounts/{account}/space", data=form).status_code == 303
            assert stage.streams.quotas.space(account).limit_bytes == left
        wrong = operator.post(f"/accounts/{account}/space", data={"limit": "-1", "csrf_token": page_token(operator)})
        assert (wrong.status_code, "must be a size such as" in wrong.text) == (400, True)
        page = operator.get("/accounts").text
        assert "Space of streams" in page
        # The owner sees what is left, a co-owner does not.
        assert "in use by your streams" in stage.ask("owner", "GET", f"/streams/{SLUG}").text
        assert "in use by your streams" not in stage.ask("co-owner", "GET", f"/streams/{SLUG}").text


@pytest.mark.slow
def test_a_file_without_space_never_reaches_the_disk(tmp_path: Path) -> None:
    """Over real sockets: the answer comes after the head, while the body has not been sent."""
    with Vault(tmp_path / "vault", VINYL_VAULT_STREAM_QUOTA_MB="1") as vault:
        owner = prepared(vault)
        assert owner.upload(photo(1, 300, 300)).status == 201
        head = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "5000000"}
        answer = owner.ask("POST", f"/api/streams/{SLUG}/images", b"--x\r\n", head)
        assert answer.status == 409
        assert "Not enough space" in answer.json()["error"]
        row = next(line.split() for line in vault.command("users", "usage").stdout.splitlines() if line.startswith("owner"))
        assert (row[1], row[-2:]) == ("1", ["1", "MB"])
        said = vault.command("users", "quota", "owner", "5GB").stdout
        assert "may hold 5 GB" in said
        assert Browser(vault, "owner").upload(photo(2, 1200, 900)).status == 201
        assert "must be a size" in vault.command("users", "quota", "owner", "much", ok=False).stderr
