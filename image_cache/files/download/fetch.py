"""One resumable download, from the first request to a partial file that is whole and verified."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from image_cache.errors import (
    ChecksumMismatch,
    FetchStopped,
    FileRejected,
    OriginCut,
    OriginError,
    OriginTooLarge,
    OriginUnavailable,
)
from image_cache.files.download.checksums import announced, check_head, content_range, is_whole_by_416, validators
from image_cache.files.download.fetch_terms import AttemptLog, FetchControl, FetchOutcome, Opener, Progress, Sources, logged
from image_cache.files.download.partial import FetchEffort, PartialFile, PartialMetadata
from image_cache.files.paths import Remote
from image_cache.net.deadline import IN_ONE_GO, LARGE_FILES, MinimumSpeed
from image_cache.units import size

if TYPE_CHECKING:
    from image_cache.net.client import HttpResponse

logger = logging.getLogger(__name__)

TURN_S = 120.0  # after which a fetch that can be resumed lets others go first
SHORT_PAUSE_S, PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.2, 30.0
FINAL = frozenset({"encoding", "tls", "changing"})  # the next attempt would fail the same way
MAX_RESTARTS = 5  # of a file that changes with each request
HEAD_BYTES = 64
REPORT_EVERY_S = 0.1
IDLE_ATTEMPTS_AFTER_PROGRESS = 6  # in a row, once something came: the connection may be back in seconds


class _Restart(Exception):
    """The partial file belongs to another version: start from nothing."""


class Fetch:
    """Downloads one file into its part. `conditions` are the validators of a stored copy: (ETag, Last-Modified).

    `max_idle_attempts`: how many attempts in a row may make no progress. `effort`: what earlier turns have cost. `patience` is
    shared by all fetches: it limits how many of them may be as slow as `slow_speed`, because a cut would cost all they have.
    `throttle` is called with the size of each read and returns how many seconds to wait before the next.
    `mirrors` are further URLs of the same content, which only `sha256` proves: without it they are not used.
    Raises `OriginError` (`OriginCut` for one that would never end), `ChecksumMismatch`, `FileRejected`, `StorageError`, or
    what `control` raises; the part then holds what can be resumed, and nothing that is known to be wrong.
    """

    def __init__(
        self,
        remote: Remote,
        part: PartialFile,
        opener: Opener,
        control: FetchControl,
        *,
        max_bytes: int,
        sha256: str = "",
        mirrors: tuple[str, ...] = (),
        attempts: AttemptLog | None = None,
        conditions: tuple[str, str] = ("", ""),
        max_idle_attempts: int = 3,
        progress: Progress | None = None,
        effort: FetchEffort | None = None,
        patience: threading.Semaphore | None = None,
        throttle: Callable[[int], float] = lambda _: 0.0,
        min_speed: MinimumSpeed = LARGE_FILES,
        slow_speed: MinimumSpeed = IN_ONE_GO,
        turn_s: float = TURN_S,
    ) -> None:
        self._remote = remote
        self._part = part
        self._opener = opener
        self._control = control
        self._max_bytes = max_bytes
        self._sha256 = sha256.lower()
        self._sources = Sources((remote.url, *(mirrors if sha256 else ())))
        self._attempts = attempts
        self._conditions = conditions
        self._max_idle_attempts = max_idle_attempts
        self._progress = progress or (lambda _done, _total: None)
        self._effort = effort or FetchEffort()
        self._patience = patience
        self._throttle = throttle
        self._min_speed = min_speed
        self._slow_speed = slow_speed
        self._turn_s = turn_s
        self._was_resumed = False
        self._has_ranges = True  # as far as is known
        self._restarts = 0
        self._received_bytes = 0  # by the present attempt

    def run(self) -> FetchOutcome:
        idle = 0
        has_progressed = False
        if self._part.size and self._part.note.url != self._remote.url:
            self._part.begin(PartialMetadata())
        self._effort.furthest_bytes = max(self._effort.furthest_bytes, self._part.size)
        while True:
            self._received_bytes = 0
            self._control.check()
            try:
                with logged(self._attempts, self._sources.current, self._part.size, lambda: self._received_bytes):
                    outcome = self._verified_attempt()
            except _Restart as error:
                logger.info("fetch restarted url=%s reason=%s", self._remote.shown, error)
                self._count_attempt()
                self._restart()
            except OriginUnavailable as error:
                is_progress = self._count_attempt()
                has_progressed = has_progressed or is_progress
                idle = 0 if is_progress else idle + 1
                has_others = self._sources.turn(is_final=error.kind in FINAL)  # the next mirror need not wait for this one
                rounds = idle // len(self._sources) if has_others else idle
                pause_s = PAUSE_S * 2.0**rounds if rounds else SHORT_PAUSE_S
                pause_s = pause_s if has_others else max(error.retry_after_s or 0.0, pause_s)
                allowed = (
                    max(self._max_idle_attempts, IDLE_ATTEMPTS_AFTER_PROGRESS) if has_progressed else self._max_idle_attempts
                )
                is_final = error.kind in FINAL and not has_others
                if rounds >= allowed or pause_s > LONGEST_PAUSE_S or is_final or self._control.must_yield():
                    raise
                logger.info(
                    "fetch interrupted url=%s bytes=%s reason=%s pause_s=%.1f",
                    self._remote.shown,
                    self._part.size,
                    error.reason,
                    pause_s,
                )
                self._control.pause(pause_s)
            except (OriginTooLarge, FileRejected):
                self._part.begin(PartialMetadata())
                if not self._sources.turn(is_final=True):
                    raise
            except (OriginError, ChecksumMismatch):
                if not self._sources.turn(is_final=True):
                    raise
            else:
                return outcome

    def _verified_attempt(self) -> FetchOutcome:
        outcome = self._attempt()
        if not outcome.is_unchanged:
            self._verify()
        return outcome

    def _count_attempt(self) -> bool:
        """Count what the attempt cost; return True if it made progress. Raises `OriginCut` if continuing would have no end."""
        effort = self._effort
        is_progress = effort.count(self._part.size, self._received_bytes)
        if effort.is_spent:
            total = self._part.note.total_bytes
            furthest_bytes = max(effort.furthest_bytes, self._part.size)
            so_far = size(furthest_bytes) + (f" of {size(total)}" if total else "")
            reason = f"the origin keeps breaking off: never past {so_far}, {size(effort.received_bytes)} received in total"
            raise OriginCut(self._remote.url, reason, furthest_bytes=furthest_bytes, received_bytes=effort.received_bytes)
        return is_progress

    def _attempt(self) -> FetchOutcome:
        part = self._part
        offset = part.size
        if offset and not part.note.validator and not self._sha256:
            part.begin(PartialMetadata())  # nothing would reveal a mix of two versions
            offset = 0
        headers = self._headers(offset)
        accepted = frozenset({200, *((206, 416) if offset else ()), *((304,) if any(self._conditions) and not offset else ())})
        if offset:
            part.hash({"sha256", *part.note.promised}, self._control.check)
        with (
            ExitStack() as slow,
            self._opener.open(
                self._sources.current,
                headers=headers,
                accepted=accepted,
                max_bytes=self._max_bytes,
                min_speed=self._min_speed,
                encodings=frozenset({"gzip", "x-gzip"} if self._remote.name.lower().endswith((".gz", ".tgz", ".mgz")) else ()),
            ) as response,
        ):
            if response.status == 304:
                return FetchOutcome(is_unchanged=True)
            if response.status == 416:
                etag = part.note.etag if self._is_same_source else ""
                if is_whole_by_416(response.headers, offset, etag, part.note.total_bytes):
                    return self._outcome()
                raise _Restart("the requested range is outside the file")
            if response.status == 206:
                self._resume(response, offset)
            else:
                self._begin(response)
                if not self._can_resume and self._patience is not None and self._patience.acquire(blocking=False):
                    slow.callback(self._patience.release)
                    response.accept_speed(self._slow_speed)
            self._receive(response)
        return self._outcome()

    def _headers(self, offset: int) -> dict[str, str]:
        headers = {"Accept": "*/*"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self._part.note.validator and self._is_same_source:
                headers["If-Range"] = self._part.note.validator
            return headers
        etag, last_modified = self._conditions
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        return headers

    def _restart(self) -> None:
        """Drop the part: it belongs to another version. Give up on an origin that sends a new one each time."""
        self._part.begin(PartialMetadata())
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise OriginUnavailable(self._remote.url, "the file changes on every request", kind="changing")

    @property
    def _is_same_source(self) -> bool:
        """True if the part came from the URL that this attempt asks."""
        return self._part.note.source in ("", self._sources.current)

    @property
    def _can_resume(self) -> bool:
        return self._has_ranges and bool(self._part.note.validator or self._sha256)

    def _begin(self, response: "HttpResponse") -> None:
        self._was_resumed = False
        self._has_ranges = response.headers.get("Accept-Ranges", "").strip().lower() != "none"
        if self._part.size:
            before = self._part.note
            now = validators(response.headers)
            if not self._is_same_source:
                self._has_ranges = False  # a mirror that sends the file from its first byte; the checksum decides
            elif before.validator and before.validator in (now["etag"], now["last_modified"]):
                self._has_ranges = False  # the rest was requested, and it sends the same version from its first byte
            else:
                self._restart()
        note = PartialMetadata(
            url=self._remote.url,
            source=self._sources.current,
            total_bytes=response.length,
            promised=announced(response.headers, is_whole=True),
            **validators(response.headers),
        )
        self._part.begin(note)
        self._part.check_room(response.length or 0)
        self._part.hash({"sha256", *note.promised}, self._control.check)

    def _resume(self, response: "HttpResponse", offset: int) -> None:
        """Accept a 206 only if it continues the same version exactly where the part ends."""
        note = self._part.note
        found = content_range(response.headers)
        if found is None or found.start != offset or found.end < offset:
            raise _Restart("the origin returned the wrong byte range")
        total = found.total
        # The validators of another mirror say nothing about this part; what two mirrors sent is compared with the SHA-256.
        etag = validators(response.headers)["etag"] if self._is_same_source else ""
        if (etag and note.etag and etag != note.etag) or (None not in (total, note.total_bytes) and total != note.total_bytes):
            raise _Restart("the file has changed")
        if total is not None and found.end != total - 1 and response.length is None:
            raise _Restart("the origin returned too few bytes")
        if total is not None and total > self._max_bytes:
            raise OriginTooLarge(self._remote.url, self._max_bytes, total)
        self._was_resumed = True
        promised = announced(response.headers, is_whole=False) if self._is_same_source else {}
        if any(note.promised.get(name, value) != value for name, value in promised.items()):
            raise _Restart("the file has changed")
        if total is not None and note.total_bytes is None:
            self._part.update_note(total_bytes=total)
        self._part.check_room(0 if total is None else total - offset)

    def _receive(self, response: "HttpResponse") -> None:
        part, note = self._part, self._part.note
        needs_head = part.size < HEAD_BYTES
        reported_at, began_at = 0.0, time.monotonic()
        for chunk in response.chunks():
            part.append(chunk)
            self._received_bytes += len(chunk)
            if delay_s := self._throttle(len(chunk)):
                self._control.pause(delay_s)
            if needs_head and part.size >= HEAD_BYTES:
                check_head(self._remote.name, part.head(HEAD_BYTES))
                needs_head = False
            if part.size > self._max_bytes:
                raise OriginTooLarge(self._remote.url, self._max_bytes, part.size)
            now = time.monotonic()
            if now - reported_at > REPORT_EVERY_S:
                reported_at = now
                self._control.check()
                self._progress(part.size, note.total_bytes)
                if now - began_at > self._turn_s and self._can_resume and self._control.must_yield():
                    raise FetchStopped(self._remote.shown, "others wait")
        if needs_head:
            check_head(self._remote.name, part.head(HEAD_BYTES))
        if note.total_bytes is not None and part.size != note.total_bytes:
            raise OriginUnavailable(
                self._remote.url, f"expected {note.total_bytes:,} bytes, received {part.size:,}", kind="broken"
            )
        if not part.size:
            raise OriginUnavailable(self._remote.url, "empty response", kind="broken")
        self._progress(part.size, note.total_bytes or part.size)

    def _verify(self) -> None:
        """Compare the finished part with all promised checksums. A mismatch after a resume gets one fresh try."""
        promised = dict(self._part.note.promised)
        if self._sha256:
            promised["sha256"] = self._sha256
        self._part.hash(set(promised), self._control.check)
        try:
            self._part.hasher.check(self._remote.shown, promised)
        except ChecksumMismatch as error:
            if self._was_resumed:
                self._was_resumed = False
                raise _Restart(str(error)) from error
            self._part.begin(PartialMetadata())
            raise

    def _outcome(self) -> FetchOutcome:
        note = self._part.note
        self._part.hash({"sha256", *note.promised}, self._control.check)
        return FetchOutcome(False, self._part.hasher.sha256, note.etag, note.last_modified)
