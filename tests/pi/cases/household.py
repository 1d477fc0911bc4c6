"""A day in a household."""

import re
import time
from collections import Counter

from tests.pi.board import Board
from tests.pi.case import case
from tests.pi.photographs import photograph
from tests.pi.visits import put_covers, upload, wait_for_thumbnails

HOURS = 24
ALBUM = re.compile(r'href="/album/(\d+)"')
GROWTH_MB = 4.0  # of a day; what grows with every hour grows by more
WRITTEN_MB = 20.0  # in a day


@case
def household(board: Board) -> None:
    """24 hours of a household, each in a minute: pages, covers, records played, an upload in the evening; memory and bytes written."""
    digests, _ = put_covers(board, 70, side=600)  # two pages
    wait_for_thumbnails(board, digests)
    albums = ALBUM.findall(board.get("/", "text/html").body.decode())[:60]
    statuses: Counter[int] = Counter()
    memory: list[float] = []
    written = board.written_bytes() or 0
    for hour in range(HOURS):
        began = time.monotonic()
        board.guest.run('date -s "+1 hour" >/dev/null')
        if 7 <= hour <= 22:
            for path in ("/", "/?page=2", f"/album/{albums[hour]}", "/search?q=artist", f"/album/{albums[hour + 24]}"):
                statuses[board.status_of(path)] += 1
            for digest in digests[hour : hour + 20]:
                statuses[board.status_of(f"/cache/thumbnails/{digest}.webp")] += 1
            played = board.owner.ask(
                "POST", f"/album/{albums[hour]}/played", b"", {"Content-Type": "application/x-www-form-urlencoded"}
            )
            statuses[200 if played.status in (200, 303) else played.status] += 1
        if hour == 20:
            status, said, _ = upload(board, photograph(2, hour))
            assert status == 201, said
        memory.append(board.pss_mb())
        time.sleep(max(0.0, 60 - (time.monotonic() - began)))  # what runs by the minute has to run
    wrote_mb = ((board.written_bytes() or 0) - written) / 1e6
    first, last = max(memory[:8]), memory[-1]
    board.note(
        pages_and_covers=dict(statuses),
        pss_mb=[round(one, 1) for one in memory[::4]],
        written_mb=round(wrote_mb, 1),
        restarts=board.restarts(),
    )
    assert set(statuses) == {200}, statuses
    assert last - first < GROWTH_MB, memory
    assert wrote_mb < WRITTEN_MB, wrote_mb
