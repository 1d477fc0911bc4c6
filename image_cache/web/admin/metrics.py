"""`/metrics` for Prometheus, when the settings want it: for this server, and for those who have the token."""

import hmac
import logging

from flask import Blueprint, Response, request
from werkzeug import exceptions

from image_cache.web.access import Role, declare_access
from image_cache.web.context import is_local_request, services
from image_cache.web.rate_limits import limiter

logger = logging.getLogger(__name__)

metrics = declare_access(read=Role.METRICS_POLICY)(Blueprint("metrics", __name__))

MIN_TOKEN_CHARS = 16  # a shorter one is guessed
NOT_INSTALLED = "The metrics extra is not installed. Run: pip install --require-hashes -r requirements-metrics.txt"


@metrics.get("/metrics")
@limiter.limit("120 per minute")
def scrape() -> Response:
    """Return the figures in the text format. Without the setting there is no such page, without the library 501 says what to do."""
    if not services().settings.METRICS:
        raise exceptions.NotFound
    if not (is_local_request() or _has_token()):
        raise exceptions.Unauthorized("Send the metrics token as Authorization: Bearer.")
    try:
        from image_cache.web.admin.prometheus import CONTENT_TYPE, exposition  # prometheus-client: 0.8 MB that few need
    except ModuleNotFoundError as error:
        raise exceptions.NotImplemented(NOT_INSTALLED) from error
    answer = Response(exposition(services().vault), content_type=CONTENT_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _has_token() -> bool:
    path = services().settings.METRICS_TOKEN_FILE
    if path is None:
        return False
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        logger.warning("metrics token not readable path=%s reason=%s", path, error)
        return False
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    is_same = hmac.compare_digest(given.strip().encode(), token.encode())
    return len(token) >= MIN_TOKEN_CHARS and kind.lower() == "bearer" and is_same
