"""Do I have it? One field, or a photograph of the barcode, and one screen with the answer: for a shop, with the phone."""

from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import DecoderBusy, DecoderFailed, FieldRejected, ImageRejected
from image_cache.importers.lookup.having import Having
from image_cache.importers.lookup.service import Lookup
from image_cache.web.access import Role, declare_access
from image_cache.web.context import is_member, services
from image_cache.web.privacy import may_read_notes
from image_cache.web.rate_limits import limiter
from image_cache.web.records.editing.add import PATIENCE_S, PHOTO_BYTES, read_photo, sentence
from image_cache.web.records.wants import shown_wants
from image_cache.web.request_body import FORM_OVERHEAD_BYTES, BodyLimits, larger_body
from image_cache.web.responses import page_response
from image_cache.web.template_helpers import know_covers

PATH = "/have"
MAX_CHARS = 120

having = declare_access(read=Role.VISITOR, change=Role.MEMBER, login=PATH)(Blueprint("having", __name__))


def photo_body_limits() -> BodyLimits | None:
    """Return the limits of a photograph; None if this request may not send one."""
    return BodyLimits(PHOTO_BYTES, PHOTO_BYTES + FORM_OVERHEAD_BYTES) if is_member() else None


@having.get(PATH)
def page() -> AnyResponse:
    """Show the field, and with a text (q) what the collection and the wantlist have of it."""
    text = " ".join(request.args.get("q", "").split())[:MAX_CHARS]
    if not text:
        return _page(None)
    return _page(_answer(text), is_sure=request.args.get("sure") != "0")


@having.post(PATH)
@larger_body(photo_body_limits)
@limiter.limit("30 per minute")
def ask() -> AnyResponse:
    """Answer a text (form field q) or the barcode of a photograph (barcode): from the collection, else with what the services find."""
    file = request.files.get("barcode")
    text, is_sure = " ".join(request.form.get("q", "").split()), True
    try:
        if file is not None and file.filename:
            text, is_sure = read_photo(file.stream)
        if text and len(text) <= MAX_CHARS and _answer(text).is_known:
            return redirect(_address(text, is_sure=is_sure), 303)
        task_id = services().lookup.start(text, is_sure=is_sure)
    except (FieldRejected, ImageRejected) as error:
        return _page(None, wrong=sentence(error.reason), typed=text, status=400)
    except (DecoderFailed, DecoderBusy) as error:
        return _page(None, wrong=f"Could not read the photo: {error}. Type the number below the bars.", status=422)
    finally:
        if file is not None:
            file.close()
    services().tasks.wait(task_id, PATIENCE_S)
    return redirect(f"{PATH}/{task_id}", 303)


@having.get("/have/<int:task_id>")
@declare_access(read=Role.MEMBER, login=PATH)
def answer_page(task_id: int) -> AnyResponse:
    """Show what the services found of what the collection has not; the page reloads itself until they have answered."""
    found = services().lookup.get(task_id)
    return _page(_answer(found.text), found, is_sure=found.is_sure)


def _answer(text: str) -> Having:
    return services().lookup.having.answer(text, with_notes=may_read_notes())


def _address(text: str, *, is_sure: bool) -> str:
    return f"{PATH}?{urlencode({'q': text} | ({} if is_sure else {'sure': '0'}))}"


def _page(
    answer: Having | None,
    found: Lookup | None = None,
    *,
    is_sure: bool = True,
    wrong: str = "",
    typed: str = "",
    status: int = 200,
) -> AnyResponse:
    values: dict[str, object] = {"answer": answer, "found": found, "is_sure": is_sure, "wrong": wrong, "typed": typed[:MAX_CHARS]}
    if answer is not None:
        pressings, wants = list(answer.pressings), list(answer.wants)
        offers = []
        if found is not None:
            offers = [(number, one, services().lookup.known(one)) for number, one in enumerate(found.candidates)]
            more, wanted = services().lookup.having.other_pressings((one.artist, one.title) for one in found.candidates)
            known = {album.id for album in (*answer.copies, *pressings)}
            pressings += [album for album in more if album.id not in known]
            wants += [want for want in wanted if want not in wants]
        albums = (*answer.copies, *pressings, *answer.likely)
        covers = services().covers.for_page([album.picture for album in albums], load=())
        know_covers(covers)
        values |= {"covers": covers, "pressings": pressings, "wants": shown_wants(wants), "offers": offers}
        values |= {
            "verdict": verdict(answer, bool(pressings), answer.is_wanted or bool(wants and not answer.likely)),
            "typed": answer.text,
        }
    response = page_response(render_template("records/have.html", **values))
    response.status_code = status
    if found is not None:
        response.headers["Cache-Control"] = "no-store"
    return response


def verdict(answer: Having, has_pressings: bool, is_wanted: bool) -> tuple[str, str]:
    """Return the answer as a lamp and a sentence."""
    if answer.copies:
        return "well", "You have it." if len(answer.copies) == 1 else f"You have {len(answer.copies)} copies."
    if has_pressings:
        return "warning", "You have another pressing."
    if is_wanted:
        return "waiting", "You do not have it. It is on your wantlist."
    if answer.likely:
        return "waiting", "You do not have it under this name."
    return "waiting", "You do not have it."
