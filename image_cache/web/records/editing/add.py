"""Add a record: by a photograph of its barcode, by what is on its spine, or by typing all of it."""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import DecoderBusy, DecoderFailed, FieldRejected, ImageRejected
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import may_change, services
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import FORM_OVERHEAD_BYTES, BodyLimits, UploadBuffer, larger_body
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

adding = declare_access(read=Role.OWNER, change=Role.OWNER, login="/add")(Blueprint("adding", __name__))

PHOTO_BYTES = 20_000_000
DECODER_WAIT_S = 10.0  # for covers that are rendered at the same time
PATIENCE_S = 1.5  # how long the answer waits for the services, so that most lookups need no reload
UNREADABLE = (
    "No barcode found in the photo. Move closer, hold the phone flat, and photograph it again. Or type the number below the bars."
)


def photo_body_limits() -> BodyLimits | None:
    """Return the limits of a photograph; None if this request may not send one."""
    return BodyLimits(PHOTO_BYTES, PHOTO_BYTES + FORM_OVERHEAD_BYTES) if may_change() else None


@adding.get("/add")
def add_page() -> AnyResponse:
    return _page()


@adding.post("/add")
@larger_body(photo_body_limits)
@limiter.limit("30 per minute")
def look_up() -> AnyResponse:
    """Look up the text (form field q) or the barcode of a photograph (barcode); the answer is its own page."""
    file = request.files.get("barcode")
    text, is_sure = request.form.get("q", ""), True
    try:
        if file is not None and file.filename:
            text, is_sure = read_photo(file.stream)
        task_id = services().lookup.start(text, is_sure=is_sure)
    except (FieldRejected, ImageRejected) as error:
        return _page(wrong=sentence(error.reason), typed=text, status=400)
    except (DecoderFailed, DecoderBusy) as error:
        return _page(wrong=f"Could not read the photo: {error}. Type the number below the bars.", status=422)
    finally:
        if file is not None:
            file.close()
    services().tasks.wait(task_id, PATIENCE_S)
    return redirect(f"/add/{task_id}", 303)


@adding.get("/add/<int:task_id>")
def answer_page(task_id: int) -> AnyResponse:
    """Show what the collection has, and what the services offer; the page reloads itself until they have answered."""
    lookup = services().lookup
    found = lookup.get(task_id)
    owned = lookup.owned(found.text)
    covers = services().covers.for_page([album.picture for album in owned], load=())
    know_covers(covers)
    offers = [(number, one, lookup.known(one)) for number, one in enumerate(found.candidates)]
    offers.sort(key=lambda offer: offer[2] is None)
    values = {"found": found, "owned": owned, "covers": covers, "offers": offers, "has_token": services().discogs.tokens.exists()}
    answer = page_response(render_template("records/add_answer.html", **values))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@adding.post("/add/<int:task_id>")
@limiter.limit("60 per minute")
def choose(task_id: int) -> AnyResponse:
    """Add the candidate (form field candidate), then show the record; one that is there already is only shown."""
    number = whole_number(request.form.get("candidate", ""), 0, 99)
    if number is None:
        raise BadRequest("candidate must be the number of a candidate.")
    album_id, is_new = services().lookup.choose(task_id, number)
    record = services().library.album(album_id)
    if is_new and record is not None and record.picture:
        services().covers.try_register([record.picture])
    return redirect(url_for("pages.album", album_id=album_id, done=added(album_id) if is_new else ""), 303)


def added(album_id: int) -> str:
    """Return what the page of a new record is to say: that it was added, or was wanted as well."""
    return "bought" if services().library.wants.table.of_album(album_id) else "added"


def read_photo(stream: object) -> tuple[str, bool]:
    """Return the digits of a photographed barcode. Raises `ImageRejected` with what to do."""
    if isinstance(stream, UploadBuffer) and (stream.is_too_large or stream.has_failed):
        raise ImageRejected(f"The photo must have at most {PHOTO_BYTES // 1_000_000} MB.")
    body: bytes = stream.read()  # type: ignore[attr-defined]
    digits, is_sure = services().lookup.read_photo(body, wait_s=DECODER_WAIT_S)
    if not digits:
        raise ImageRejected(UNREADABLE)
    return digits, is_sure


def _page(*, wrong: str = "", typed: str = "", status: int = 200) -> AnyResponse:
    answer = page_response(render_template("records/add.html", wrong=wrong, typed=typed[:200]))
    answer.status_code = status
    return answer


def sentence(reason: str) -> str:
    """Return a reason as a sentence."""
    text = f"{reason[:1].upper()}{reason[1:]}"
    return text if text.endswith((".", "!", "?")) else f"{text}."
