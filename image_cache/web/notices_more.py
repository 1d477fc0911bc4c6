"""One sentence for the next page: what a form did, when the page that it was on is no more. It travels in the signed session."""

from flask import session

FIELD = "notice"
MAX_CHARS = 300  # a cookie takes 4 KB, escaped


def leave(text: str) -> None:
    """Leave a sentence for the page that this answer leads to; its address says `done=removed`."""
    session[FIELD] = text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"


def take(done: str) -> str:
    """Return the sentence that was left, once, when the address has this `done`; empty when there is none."""
    return str(session.pop(FIELD, "")) if done == "removed" and FIELD in session else ""
