"""`/health`, for people and for monitors; `/livez` and `/readyz`, for supervisors and load balancers."""

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from image_cache.db.database import DatabaseError
from image_cache.maintenance.health.check import can_serve, verdict
from image_cache.web.access import Role, declare_access
from image_cache.web.context import is_local_request, may_operate, services
from image_cache.web.rate_limits import limiter

ops = declare_access(read=Role.VISITOR)(Blueprint("ops", __name__))

PROBE_S = 2  # when to ask again
SENTENCES = {
    "healthy": "All systems OK.",
    "degraded": "Working, with warnings.",
    "unhealthy": "Action needed.",
}


@ops.get("/health")
@limiter.exempt
def health() -> Response:
    """Return 200 while pages and images can be served, 503 when not; as a page or as JSON. Advice is for operators."""
    checks = services().checks()
    status, is_operator = verdict(checks), _may_see_advice()
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        answer = make_response(
            render_template("admin/health.html", checks=checks, verdict=SENTENCES[status], may_see_advice=is_operator)
        )
    else:
        shown = {
            check.name: {
                "state": check.state,
                "message": check.message,
                **({"advice": check.advice} if check.advice and is_operator else {}),
            }
            for check in checks
        }
        answer = jsonify(status=status, checks=shown)
    answer.status_code = 200 if can_serve(checks) else 503
    answer.headers["Cache-Control"] = "no-store"
    return answer


@ops.get("/livez")
@limiter.exempt
def livez() -> Response:
    """Return 200 while this process works, also when the database is away; 503 when it should be restarted."""
    return _state("alive", services().readiness.why_dead())


@ops.get("/readyz")
@limiter.exempt
def readyz() -> Response:
    """Return 200 while requests can be sent here; 503 with the reason when another node should get them."""
    return _state("ready", services().readiness.why_not_ready())


def _state(word: str, reason: str) -> Response:
    answer = jsonify(status=f"not {word}", reason=reason) if reason else jsonify(status=word)
    if reason:
        answer.status_code = 503
        answer.headers["Retry-After"] = str(PROBE_S)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _may_see_advice() -> bool:
    try:
        return may_operate()
    except DatabaseError:  # the sessions cannot be read
        return is_local_request()
