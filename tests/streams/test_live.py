"""Streams on the real thing: gunicorn as a process, real sockets, kill -9 in the middle of uploads."""

import contextlib
import http.client
import io
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from image_cache import StreamImageManager
from tests.support.stage import multipart, photo
from tests.support.vault import KILLS, Vault, wait_until
from tests.support.visitor import SLUG, Browser, prepared


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Vault]:
    limits = {"VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM": "10000", "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0"}
    with Vault(tmp_path / "vault", **limits) as vault:
        yield vault


@pytest.mark.slow
def test_large_and_chunked_uploads_come_through_and_stop_at_their_limit(live: Vault) -> None:
    vault = live
    owner = prepared(vault)
    picture = photo(1, 1200, 900)
    assert owner.upload(picture, chunked=True).status == 201
    assert owner.upload(photo(2, 1500, 1500), visibility="private").status == 201
    over = owner.upload(photo(3) + bytes(21_000_000), photo(4), chunked=True)
    rows = over.json()["results"]
    assert [row["ok"] for row in rows] == [False, True]
    assert rows[0]["kind"] == "too-large"
    # No one else gets a byte over the usual size in, chunked or not, and nothing of it stays on the disk.
    stranger = Browser(vault)
    data, kind = multipart({}, (bytes(3_000_000),))
    for chunked in (False, True):
        try:
            answer = stranger.ask("POST", f"/api/streams/{SLUG}/images", data, {"Content-Type": kind}, chunked=chunked)
            assert answer.status in (403, 413)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it hung up before everything was sent
    assert Browser(vault).get(f"/api/streams/{SLUG}/images").json()["total"] == 2


@pytest.mark.slow
def test_a_picture_of_twenty_megabytes_and_a_form_of_forty_go_in_while_pages_are_answered(live: Vault) -> None:
    owner = prepared(live)
    large = photo(1, 2550, 2600, "BMP")
    assert 19_500_000 < len(large) < 20_000_000
    small = photo(2, 580, 580, "BMP")
    forty = [small[:1000] + bytes([number]) + small[1001:] for number in range(40)]
    answered: list[tuple[float, float]] = []
    spools: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            asked = time.monotonic()
            assert live.get("/about").status == 200
            answered.append((asked, time.monotonic()))
            spools.update(nameless_files(live))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        wait_until(lambda: answered)
        for chunked in (False, True):
            answer = owner.upload(large, chunked=chunked)
            assert answer.status == (409 if chunked else 201), answer.body  # the second one is the same image
        began = time.monotonic()
        answer = owner.upload(*forty)
        ended = time.monotonic()
    finally:
        done.set()
        looking.join()
    assert [row["ok"] for row in answer.json()["results"]] == [True] * 40
    assert any(path.startswith(f"{live.folder}/cache/") for path in spools), "what is large waits in the vault, not in /tmp"
    meanwhile = [came - asked for asked, came in answered if asked > began and came < ended]
    assert len(meanwhile) >= 10, "pages were answered while the form came in"
    assert max(meanwhile) < (ended - began) / 2, "and none of them waited for it"


@pytest.mark.slow
def test_uploads_that_were_acknowledged_survive_any_kill_and_no_half_image_is_shown(live: Vault) -> None:
    """Kills at random moments, with two uploads under way at each of them."""
    chance = random.Random(11)
    acknowledged: dict[str, bytes] = {}
    owner = prepared(live)
    seed = 0
    for moment in range(KILLS):
        stop, before = threading.Event(), len(acknowledged)
        owner.address = f"127.0.1.{moment % 250 + 1}"  # one alone would soon be told that it asks too often

        def keep_uploading(first: int, stop: threading.Event = stop) -> None:
            number = first
            while not stop.is_set():
                body = photo(number, 600, 400)  # of smaller ones thousands were done, more than anyone can look at below
                try:
                    answer = owner.upload(body)
                except (OSError, http.client.HTTPException):
                    return
                if answer.status == 201:
                    acknowledged[answer.json()["results"][0]["image_id"]] = body
                number += 1

        threads = [threading.Thread(target=keep_uploading, args=(seed + offset,)) for offset in (0, 100_000)]
        for thread in threads:
            thread.start()
        if moment % 5 == 4:  # on a slow machine no upload might ever be done
            wait_until(lambda before=before: len(acknowledged) > before, 60)
        time.sleep(chance.uniform(0.0, 0.5))
        stop.set()
        live.crash()
        for thread in threads:
            thread.join()
        seed += 1000
    shown = owner.get(f"/api/streams/{SLUG}/images").json()["images"]
    ids = {image["image_id"] for image in shown}
    assert set(acknowledged) <= ids, "an acknowledged upload was lost"
    for image in shown:
        thumb = owner.get(image["thumb_url"])
        assert thumb.status == 200
        Image.open(io.BytesIO(thumb.body)).load()
        original = owner.get(image["original_url"])
        assert original.body == acknowledged.get(image["image_id"], original.body)
        Image.open(io.BytesIO(original.body)).load()
    assert len(acknowledged) > 10
    live.stop()
    # An hour later nothing is left of the uploads that were cut.
    swept = StreamImageManager(
        live.folder / "state/stream_images", live.folder / "cache/streams", clock=lambda: time.time() + 4000
    )
    swept.images.sweep()
    swept.close()
    left = [path.name for path in (live.folder / "state/stream_images").rglob("*") if path.is_file()]
    assert sorted(left) == sorted(f"{image_id}_original.jpg" for image_id in ids)


def nameless_files(vault: Vault) -> Iterator[str]:
    """Yield the open files of the worker that no folder lists."""
    for fd in Path(f"/proc/{vault.workers()[0]}/fd").iterdir():
        with contextlib.suppress(OSError):
            path = str(fd.readlink())
            if path.endswith(" (deleted)"):
                yield path


@pytest.mark.slow
def test_two_workers_agree_on_who_may_see_what_within_a_second(tmp_path: Path) -> None:
    with Vault(tmp_path / "vault", workers=2, VINYL_VAULT_FREE_SPACE_FLOOR_MB="0") as vault:
        owner = prepared(vault)
        image_id = owner.upload(photo(1)).json()["results"][0]["image_id"]
        path = f"/streams/{SLUG}/images/{image_id}/detail"
        assert {Browser(vault).get(path).status for _ in range(10)} == {200}
        body = json.dumps({"visibility": "private"}).encode()
        changed = owner.ask("PATCH", f"/api/images/{image_id}", body, {"Content-Type": "application/json"})
        assert changed.status == 200
        assert {Browser(vault).get(path).status for _ in range(20)} == {404}
        assert {owner.get(path).status for _ in range(10)} == {200}
        gone = owner.ask("DELETE", f"/api/images/{image_id}?for_good=true", None, {})
        assert gone.json() == {"deleted": True}
        assert {owner.get(path).status for _ in range(20)} == {404}
        assert not list((vault.folder / "cache/streams").rglob("*.webp"))
        assert not [file for file in (vault.folder / "state/stream_images").rglob("*") if file.is_file()]
