"""How a log line looks: one record, one line, whatever it quotes, and no secrets in addresses. The journal adds the time."""

import logging
import re

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
QUERY = re.compile(r"(https?://[^\s?]{0,2048}\?)\S+")


class OneLine(logging.Formatter):
    """Escapes control characters, also those of a traceback, so that nobody writes a line of their own; cuts query strings."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return CONTROL.sub(_escape, QUERY.sub(r"\1…", super().format(record)))


def to_stderr(level: int) -> None:
    """Send every log record of this process to standard error, our own from `level` on. Once; later calls change the level."""
    root = logging.getLogger()
    if not any(isinstance(handler.formatter, OneLine) for handler in root.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(OneLine())
        root.addHandler(handler)
    logging.getLogger("image_cache").setLevel(level)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
