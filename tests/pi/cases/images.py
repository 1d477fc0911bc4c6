"""Covers, uploads and hostile images: counts, words and memory."""

import threading
import time
from collections import Counter

from tests.pi.board import Board
from tests.pi.case import case, case_that_boots
from tests.pi.photographs import hostile, photograph
from tests.pi.visits import DIGEST, Visits, check_fetched_once, download, is_rendered, journal_by_kind, upload

COVERS = 60
HITS = 600


@case
def covers(board: Board) -> None:
    """60 covers of 1,500 px downloaded while someone browses, then 600 hits."""
    digests = download(board, COVERS)
    written = board.written_bytes() or 0
    cpu_s = board.cpu_s()
    hits = Counter(board.get(f"/cache/thumbnails/{digests[n % COVERS]}.webp").status for n in range(HITS))
    board.note(
        hits=dict(hits),
        cpu_ms_per_hit=round((board.cpu_s() - cpu_s) / HITS * 1000, 1),
        written_kb_by_hits=round(((board.written_bytes() or 0) - written) / 1e3),
    )
    assert hits == {200: HITS}, hits
    check_fetched_once(board)


@case
def many_covers(board: Board) -> None:
    """300 covers of 1,500 px downloaded while someone browses"""
    download(board, 300)
    check_fetched_once(board)


@case
def uploads(board: Board) -> None:
    """Uploads of 12, 24 and 48 megapixels, baseline and progressive, then three of 12 at once."""
    for megapixels in (12, 24, 48):
        for progressive in (False, True):
            body = photograph(megapixels, megapixels, progressive=progressive)
            status, said, took = upload(board, body)
            name = f"{megapixels}_mp_{'progressive' if progressive else 'baseline'}"
            if status == 201:
                shown = board.wait_until(lambda image_id=said: is_rendered(board, image_id), 900)  # type: ignore[misc]
                board.note(**{name: f"201 in {took:.0f} s, large after {shown:.0f} s"})
            else:
                board.note(**{name: f"{status}, {said}"})
                assert status == 415, f"{name} must be stored, or refused in words: {status} {said}"
                assert megapixels > float(said.partition("the limit is ")[2].partition(". ")[0]), f"{name}: {said}"
    results: list[tuple[int, str, float]] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(upload(board, photograph(12, 100 + n, progressive=True))))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    visits = Visits(Counter())
    while any(thread.is_alive() for thread in threads):
        visits.look(board)
        time.sleep(1)
    for status, said, _ in results:
        assert status == 201, said
        board.wait_until(lambda image_id=said: is_rendered(board, image_id), 900)  # type: ignore[misc]
    board.note(
        three_at_once=[status for status, _, _ in results],
        log=journal_by_kind(board),
        pages_meanwhile=dict(visits.statuses),
        slowest_page_s=round(visits.slowest_s, 1),
    )
    assert len(results) == 3
    assert set(visits.statuses) == {200}, visits.statuses


@case
def hostile_(board: Board) -> None:
    """Hostile images as uploads and as covers: refused in words, and the wall stays."""
    images = hostile()
    pid = board.main_pid()
    said = {}
    for name, body in images.items():
        status, words, _ = upload(board, body)
        said[name] = status
        assert status in (201, 400, 413, 415, 429), (name, status, words)
        assert board.status_of("/") == 200, name
    rows: list[dict[str, object]] = [
        {"artist": name, "title": "T", "cover_url": board.origin.put(f"/{name}", body)} for name, body in images.items()
    ]
    board.import_records(rows)
    digests = DIGEST.findall(board.get("/", "text/html").body.decode())
    board.wait_until(lambda: all(board.origin.count(f"/{name}") for name in images), every_s=5)
    last: Counter[int] = Counter()

    def is_quiet() -> bool:
        last.clear()
        last.update(board.get(f"/cache/thumbnails/{digest}.webp").status for digest in set(digests))
        return str(board.health()["Queue"]["message"]) == "Queue is empty."

    board.wait_until(is_quiet, every_s=10)
    board.note(uploads=dict(Counter(said.values())), covers=dict(last), restarts=board.restarts(), log=journal_by_kind(board))
    assert board.main_pid() == pid, "the service was started again"
    assert board.status_of("/") == 200


@case_that_boots
def no_memory_group(board: Board) -> None:
    """Without the memory group, as Raspberry Pi OS boots: uploads of 12 and 48 megapixels"""
    board.booted(kernel="cgroup_disable=memory")
    board.wait_until(board.responds)
    for megapixels in (12, 48):
        status, said, took = upload(board, photograph(megapixels, megapixels))
        assert status == 201, said
        shown = board.wait_until(lambda image_id=said: is_rendered(board, image_id), 900)  # type: ignore[misc]
        board.note(**{f"{megapixels}_mp": f"201 in {took:.0f} s, large after {shown:.0f} s"})
    board.note(oom_kills=board.guest.run("grep oom_kill /proc/vmstat").split()[-1], pss_mb=round(board.pss_mb()))
