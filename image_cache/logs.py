"""Logging: one line per record, without secrets, with repeated messages limited."""

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Half of a surrogate pair stands for a byte of a name that is not UTF-8; it cannot be written.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
QUERY = re.compile(r"(https?://[^\s?]{0,2048}\?)\S+")
LOGIN = re.compile(r"(https?://)[^\s/@]{1,512}@")
SECRET = re.compile(
    r"(?i)\b(authorization|cookie|password|passwd|secret|token|api[_-]?key)(\s*[=:]\s*)(?:(?:bearer|basic|discogs)\s+)?\S+"
)
MAX_REPEATS = 10  # lines of one kind per window; further ones are counted and reported once
WINDOW_S = 60.0
MAX_KINDS = 512  # that are counted at a time


class SingleLineFormatter(logging.Formatter):
    """Escapes control characters, also in tracebacks, so that quoted text cannot forge a line; removes secrets."""

    def __init__(self, *, has_time: bool = False) -> None:
        super().__init__(f"{'%(asctime)s ' if has_time else ''}%(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return printable(without_secrets(super().format(record)))


class RateLimitFilter(logging.Filter):
    """Passes the first lines of a kind, and once a minute one that says how many more there were. Thread-safe.

    A kind is a logger with a format string: a thousand covers of a host that is down are one kind. DEBUG lines are not limited.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()  # protects _seen
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # kind -> (start of the window, lines in it)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG or hasattr(record, "is_suppressed"):  # decided for another handler already
            return not getattr(record, "is_suppressed", False)
        kind, now = (record.name, str(record.msg)), self._clock()
        with self._lock:
            since, count = self._seen.get(kind, (now, 0))
            is_over = now - since > WINDOW_S
            if is_over and count > MAX_REPEATS:
                # Without arguments a message is not formatted again, even if it contains a percent sign.
                record.msg, record.args = f"{record.getMessage()} and={count - MAX_REPEATS} more like it", None
            if is_over:
                since, count = now, 0
            if len(self._seen) >= MAX_KINDS:
                self._seen.clear()
            self._seen[kind] = (since, count + 1)
        is_suppressed = record.__dict__["is_suppressed"] = count >= MAX_REPEATS
        return not is_suppressed


class ReplacedWorkerFilter(logging.Filter):
    """Corrects gunicorn, which suspects memory for every worker that was killed, also for one that it killed itself for its silence."""

    def __init__(self) -> None:
        super().__init__()
        self._silent: set[object] = set()  # process numbers

    def filter(self, record: logging.LogRecord) -> bool:
        text, arguments = str(record.msg), record.args
        if not isinstance(arguments, tuple) or not arguments:
            return True
        if text.startswith("WORKER TIMEOUT"):
            self._silent.add(arguments[0])
        elif "Perhaps out of memory" in text and arguments[0] in self._silent:
            self._silent.discard(arguments[0])
            record.msg, record.args = "worker was stopped or hung, replaced pid=%s", arguments[:1]
        return True


def to_stderr(level: int, path: Path | None = None) -> None:
    """Send all log records of this process to standard error, our own from `level` on, and to a file if a path is given.

    Idempotent; later calls change the level. logrotate may move the file. Raises `OSError` if the file cannot be written.
    """
    root = logging.getLogger()
    if not any(isinstance(handler.formatter, SingleLineFormatter) for handler in root.handlers):
        handlers: list[logging.Handler] = [logging.StreamHandler()]
        handlers[0].setFormatter(SingleLineFormatter())
        if path is not None:
            from logging.handlers import WatchedFileHandler  # costs 100 KB in both processes

            handlers.append(WatchedFileHandler(path, encoding="utf-8"))
            handlers[1].setFormatter(SingleLineFormatter(has_time=True))
        rate_limit = RateLimitFilter()
        for handler in handlers:
            handler.addFilter(rate_limit)
            root.addHandler(handler)
    logging.getLogger("image_cache").setLevel(level)


def printable(text: str) -> str:
    """Return the text with every control character escaped, and every byte that is not UTF-8: `caf\\xe9.csv`."""
    return CONTROL.sub(_escape, text)


def without_secrets(text: str) -> str:
    """Return the text without query strings, logins in URLs, and values that are named like secrets."""
    return SECRET.sub(r"\1\2…", LOGIN.sub(r"\1…@", QUERY.sub(r"\1…", text)))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else found[0].encode("unicode_escape").decode("ascii")
