"""Notes and rating of a record, by the forms on its page."""

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import FieldRejected
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.rate_limits import limiter
from image_cache.web.records.album import record_page
from image_cache.web.records.views import get_record_or_404, show_record

notes = declare_access(change=Role.MEMBER, login=record_page)(Blueprint("notes", __name__))

MAX_TYPED_CHARS = 100_000  # of a rejected text that are shown again


@notes.post("/album/<int:album_id>/notes")
@limiter.limit("60 per minute")
def write(album_id: int) -> AnyResponse:
    """Save the notes; a text that is too long is shown again, with the reason."""
    record = get_record_or_404(album_id)
    typed = request.form.get("own_notes", "")
    try:
        services().library.write_notes(album_id, typed)
    except FieldRejected as error:
        answer = show_record(record, is_writing=True, typed=typed[:MAX_TYPED_CHARS], wrong=error.reason)
        answer.status_code = 400
        return answer
    return redirect(url_for("pages.album", album_id=album_id, done="notes", _anchor="notes"), 303)


@notes.post("/album/<int:album_id>/stars")
@limiter.limit("60 per minute")
def rate(album_id: int) -> AnyResponse:
    """Rate with 1 to 5 stars; 0 removes the rating. Anything else is rejected."""
    get_record_or_404(album_id)
    stars = request.form.get("stars", type=int)
    if stars is None:
        raise FieldRejected("stars", "The rating must be a number from 1 to 5, or 0 to remove your rating.")
    services().library.rate(album_id, stars or None)
    return redirect(url_for("pages.album", album_id=album_id, done="stars"), 303)
