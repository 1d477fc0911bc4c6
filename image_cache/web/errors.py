"""Which HTTP status an error becomes, and how it is told: a page to people, JSON to scripts. Only this module knows."""

import logging
import secrets
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from image_cache.db.database import DatabaseError
from image_cache.errors import (
    CacheError,
    ChecksumMismatch,
    DecoderFailed,
    DuplicateImage,
    FileRejected,
    ImageRejected,
    InvitationRejected,
    LoginFailed,
    NotAllowed,
    NotVisible,
    OfferGone,
    OriginDenied,
    OriginError,
    ProgramMissing,
    QueueFull,
    QuotaExceeded,
    StorageError,
    UnknownAlbum,
    UnknownFile,
    UnknownImage,
    UnknownPage,
    UnknownTask,
    UploadTooLarge,
)
from image_cache.web.rate_limits import seconds_to_wait
from image_cache.web.security import NOT_ALLOWED

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 30
STATUSES: list[tuple[type[Exception], int]] = [
    (UnknownImage, 404),
    (UnknownAlbum, 404),
    (UnknownPage, 404),
    (UnknownTask, 404),
    (NotVisible, 404),
    (InvitationRejected, 404),
    (OfferGone, 409),
    (NotAllowed, 403),
    (UnknownFile, 404),
    (FileRejected, 415),
    (ChecksumMismatch, 502),
    (LoginFailed, 403),
    (UploadTooLarge, 413),
    (QuotaExceeded, 409),
    (DuplicateImage, 409),
    (ProgramMissing, 501),
    (QueueFull, 429),
    (ImageRejected, 415),
    (OriginDenied, 400),
    (OriginError, 502),
    (StorageError, 507),
    (DecoderFailed, 502),
    (CacheError, 400),
    (DatabaseError, 503),
]


def register_errors(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(RateLimitExceeded, _too_many)
    for kind, _ in STATUSES:
        app.register_error_handler(kind, _ours)
    app.register_error_handler(Exception, _unexpected)


def _http(error: HTTPException) -> Any:
    if error.code is None or error.code < 400:  # a redirect that was raised
        return error
    # A sentence of ours is told; for those that the library brings, the page has better words.
    is_ours = error.description and error.description != type(error).description
    answer = _answer(error.code, (error.description or "") if is_ours else "")
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            answer.headers[name] = value
    return answer


def _too_many(_: RateLimitExceeded) -> Response:
    wait_s = seconds_to_wait()
    answer = _answer(429, f"Too many, too fast. Try again in {wait_s} {'second' if wait_s == 1 else 'seconds'}.")
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def _csrf(_: CSRFError) -> Response:
    return _answer(403, NOT_ALLOWED[1])


def _ours(error: Exception) -> Response:
    status = status_of(error)
    if isinstance(error, DatabaseError):
        reference = _reference()
        logger.error("database failed reference=%s path=%s reason=%s", reference, request.path, error)
        return _answer(503, "The disk or the database does not answer. Nothing was lost.", reference)
    # Where the disk refused is for the log, not for a visitor.
    answer = _answer(status, f"The disk refused it: {error.reason}." if isinstance(error, StorageError) else str(error))
    if status == 429:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def _unexpected(error: Exception) -> Response:
    reference = _reference()
    logger.error("unexpected error reference=%s path=%s", reference, request.path, exc_info=error)
    return _answer(500, "Something broke here, nothing was lost.", reference)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error of ours, or of the database."""
    if isinstance(error, NotAllowed) and error.needs_login:
        return 401
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def _reference() -> str:
    return secrets.token_hex(4)


def _answer(status: int, sentence: str, reference: str = "") -> Response:
    wants_json = (
        request.path.startswith("/api/") or request.accept_mimetypes.best_match(["text/html", "application/json"]) != "text/html"
    )
    if wants_json:
        facts = {
            "error": sentence or HTTP_STATUS_CODES.get(status, ""),
            "status": status,
            **({"reference": reference} if reference else {}),
        }
        answer = jsonify(facts)
    else:
        answer = make_response(render_template("error.html", status=status, sentence=sentence, reference=reference))
    answer.status_code = status
    answer.headers["Cache-Control"] = "no-store"
    return answer
