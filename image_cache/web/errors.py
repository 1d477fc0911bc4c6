"""Error responses: the HTTP status of each exception, as a page for browsers and as JSON for scripts."""

import logging
import secrets
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from image_cache.db.database import DatabaseError, why_unwritable
from image_cache.errors import (
    CacheError,
    ChecksumMismatch,
    DecoderBusy,
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
    SpaceExceeded,
    StorageAway,
    StorageError,
    UnknownAlbum,
    UnknownCrate,
    UnknownFile,
    UnknownImage,
    UnknownPage,
    UnknownSelection,
    UnknownTask,
    UnknownWant,
    UploadTooLarge,
    VideoRejected,
)
from image_cache.web.rate_limits import seconds_to_wait
from image_cache.web.security import NOT_ALLOWED, logged_path

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 30
STATUSES: list[tuple[type[Exception], int]] = [
    (UnknownImage, 404),
    (UnknownAlbum, 404),
    (UnknownCrate, 404),
    (UnknownPage, 404),
    (UnknownSelection, 404),
    (UnknownTask, 404),
    (UnknownWant, 404),
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
    (SpaceExceeded, 409),
    (DuplicateImage, 409),
    (ProgramMissing, 501),
    (QueueFull, 429),
    (ImageRejected, 415),
    (VideoRejected, 415),
    (OriginDenied, 400),
    (OriginError, 502),
    (StorageAway, 503),
    (StorageError, 507),
    (DecoderFailed, 422),
    (DecoderBusy, 503),
    (CacheError, 400),
    (DatabaseError, 503),
]


def register_errors(app: Flask) -> None:
    """Handle every exception of `app`."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(RateLimitExceeded, _rate_limit_exceeded)
    for kind, _ in STATUSES:
        app.register_error_handler(kind, _known_error)
    app.register_error_handler(Exception, _unexpected_error)


def status_of(error: Exception) -> int:
    """Return the HTTP status of a `CacheError` or `DatabaseError`."""
    if isinstance(error, NotAllowed) and error.needs_login:
        return 401
    if isinstance(error, DecoderFailed) and error.retryable:
        return 503
    if isinstance(error, DatabaseError) and why_unwritable(error):
        return 507
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def sentence_of(error: Exception) -> str:
    """Return what an error says to people, as a sentence."""
    if isinstance(error, DecoderFailed):
        advice = "Try again in a moment." if error.retryable else "Save it smaller or in another format, then try again."
        return f"Cannot decode this image: {error.reason}. {advice}"
    return str(error)


def _http_error(error: HTTPException) -> Any:
    if error.code is None or error.code < 400:  # a redirect that was raised
        return error
    # Show our own messages, but replace those of werkzeug.
    is_own = error.description and error.description != type(error).description
    sentence = (error.description or "") if is_own else ""
    if error.code == 413:
        sentence = sentence or getattr(request, "too_large", "")
    response = _response(error.code, sentence)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "www-authenticate"):
            response.headers[name] = value
    return response


def _rate_limit_exceeded(_: RateLimitExceeded) -> Response:
    wait_s = seconds_to_wait()
    response = _response(429, f"Too many requests. Try again in {wait_s} {'second' if wait_s == 1 else 'seconds'}.")
    response.headers["Retry-After"] = str(wait_s)
    return response


def _csrf_error(_: CSRFError) -> Response:
    return _response(403, NOT_ALLOWED[1])


def _known_error(error: Exception) -> Response:
    status = status_of(error)
    if isinstance(error, DatabaseError):
        reference = _reference()
        logger.error("database failed reference=%s path=%s reason=%s", reference, logged_path(), error)
        if reason := why_unwritable(error):
            return _response(status, f"Could not save to disk: {reason}.", reference)
        return _response(503, "The disk or the database is not responding. Try again in a minute.", reference)
    # The path of a storage error is for the log, not for a visitor.
    response = _response(
        status, f"Could not save to disk: {error.reason}." if isinstance(error, StorageError) else sentence_of(error)
    )
    if status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _unexpected_error(error: Exception) -> Response:
    reference = _reference()
    logger.error("unexpected error reference=%s path=%s", reference, logged_path(), exc_info=error)
    return _response(500, "Something went wrong.", reference)


def _reference() -> str:
    return secrets.token_hex(4)


def _response(status: int, sentence: str, reference: str = "") -> Response:
    wants_json = (
        request.path.startswith("/api/") or request.accept_mimetypes.best_match(["text/html", "application/json"]) != "text/html"
    )
    if wants_json:
        facts = {
            "error": sentence or HTTP_STATUS_CODES.get(status, ""),
            "status": status,
            **({"reference": reference} if reference else {}),
        }
        response = jsonify(facts)
    else:
        page = "streams/shared_error.html" if request.path.startswith("/s/") else "error.html"  # visitors see no way to the rest
        response = make_response(render_template(page, status=status, sentence=sentence, reference=reference))
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
