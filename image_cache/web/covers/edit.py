"""Covers of records: which are missing, which could be better, and the page on which one is chosen. For owners and operators."""

import logging
from collections.abc import Callable
from typing import Any, BinaryIO

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from image_cache.errors import CacheError, DecoderFailed, ImageRejected, StorageError, UnknownAlbum, UploadTooLarge
from image_cache.importers.artwork.record_images import KINDS
from image_cache.models import Album
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import may_change, services
from image_cache.web.covers import view_models
from image_cache.web.errors import RETRY_AFTER_S, sentence_of, status_of
from image_cache.web.rate_limits import limiter
from image_cache.web.request_body import FORM_OVERHEAD_BYTES, BodyLimits, UploadBuffer, larger_body
from image_cache.web.template_helpers import know_covers

logger = logging.getLogger(__name__)


def page_to_return_to() -> str:
    return request.path if request.method in ("GET", "HEAD") else url_for("sleeves.missing")


sleeves = declare_access(read=Role.OWNER, change=Role.OWNER, login=page_to_return_to)(Blueprint("sleeves", __name__))

PAGE_SIZE = 50
AUDIT_FEW, AUDIT_PAGE = 12, 48
FIELD = "picture"


@sleeves.get("/covers/missing")
def missing() -> str:
    """List the records without a cover, and what was tried for each; then those whose source does not send it."""
    shown = services().cover_pages
    without, unfetched = shown.count_missing(), shown.count_unfetched()
    total = without + unfetched
    pages = max(1, -(-total // PAGE_SIZE))
    number = _number(request.args.get("page", "1"), pages)
    first = (number - 1) * PAGE_SIZE
    rows = [view_models.missing_row(album, tries) for album, tries in shown.missing(first, PAGE_SIZE)]
    rest = shown.unfetched(max(0, first - without), PAGE_SIZE - len(rows)) if len(rows) < PAGE_SIZE else []
    return render_template(
        "covers/missing.html",
        rows=rows,
        unfetched=[view_models.unfetched_row(album, found) for album, found in rest],
        to_come=0 if total else shown.count_to_come(),
        total=total,
        page=number,
        pages=pages,
        search=view_models.search_line(services().artwork.search()),
        is_on=services().settings.FIND_COVERS,
    )


@sleeves.post("/covers/missing")
@limiter.limit("20 per minute")
def look_for_all() -> AnyResponse:
    """Search for every missing cover, whenever the last search was."""
    services().cover_editor.search_again()
    return redirect(url_for("sleeves.missing"), 303)


@sleeves.get("/covers/audit")
def audit() -> str:
    """Show cover problems: a few of each flaw, or with `?kind=` one flaw page by page."""
    counts = services().cover_pages.count_flaws()
    kind = request.args.get("kind", "")
    if kind and kind not in view_models.KINDS:
        raise NotFound(f"Unknown cover problem “{kind[:40]}”.")
    each = AUDIT_PAGE if kind else AUDIT_FEW
    pages = max(1, -(-counts.get(kind, 0) // each)) if kind else 1
    number = _number(request.args.get("page", "1"), pages)
    shown = [flaw for flaw in view_models.KINDS if flaw == kind or (not kind and counts.get(flaw, 0))]
    return render_template(
        "covers/audit.html",
        sections=[_section(flaw, counts.get(flaw, 0), (number - 1) * each, each) for flaw in shown],
        missing=services().cover_pages.count_missing() + services().cover_pages.count_unfetched(),
        total=sum(counts.values()),
        kind=kind,
        page=number,
        pages=pages,
    )


@sleeves.get("/album/<int:album_id>/cover")
def cover(album_id: int) -> str:
    """Show the cover of one record, the choices, and the ways to a better one."""
    return _cover_page(_album(album_id))


def cover_body_limits() -> BodyLimits | None:
    """Return the limits of an uploaded cover; None if this request may not send one."""
    if not may_change():
        return None
    max_bytes = services().cover_editor.max_bytes
    return BodyLimits(max_bytes, max_bytes + FORM_OVERHEAD_BYTES)


@sleeves.post("/album/<int:album_id>/cover/upload")
@larger_body(cover_body_limits)
@limiter.limit("60 per minute")
def upload(album_id: int) -> AnyResponse:
    """Use an uploaded image as the cover; the page says what is wrong with one that is rejected."""
    album = _album(album_id)
    refused = _receive(album, lambda stream: services().cover_editor.upload(album, stream), "wrong")
    return refused or redirect(url_for("sleeves.cover", album_id=album.id, done="uploaded"), 303)


@sleeves.post("/album/<int:album_id>/images")
@larger_body(cover_body_limits)
@limiter.limit("60 per minute")
def upload_image(album_id: int) -> AnyResponse:
    """Add a further image of the kind that the form field kind names: the back, an inner sleeve, a label."""
    album, kind = _album(album_id), request.form.get("kind", "")
    refused = _receive(album, lambda stream: services().record_images.upload(album, stream, kind), "image_wrong")
    return refused or redirect(url_for("sleeves.cover", album_id=album.id, done="image", _anchor="images"), 303)


@sleeves.post("/album/<int:album_id>/images/<int:number>/<action>")
@limiter.limit("60 per minute")
def act_on_image(album_id: int, number: int, action: str) -> AnyResponse:
    """Move a further image (earlier, later), or remove it."""
    album, images = _album(album_id), services().record_images
    if action == "remove":
        done = "image-removed" if images.remove(album, number) else ""
    elif action in ("earlier", "later"):
        done = "image-moved" if images.move(album, number, is_later=action == "later") else ""
    else:
        raise NotFound
    return redirect(url_for("sleeves.cover", album_id=album.id, done=done or None, _anchor="images"), 303)


@sleeves.post("/album/<int:album_id>/cover/<action>")
@limiter.limit("60 per minute")
def act(album_id: int, action: str) -> AnyResponse:
    """Choose an offered image, search again, remove the uploaded one, or retry the source."""
    album, editor = _album(album_id), services().cover_editor
    if action == "choose":
        editor.choose(album, request.form.get("address", "")[:2048])
    elif action == "again":
        editor.search_again(album)
    elif action == "remove":
        editor.remove(album)
    elif action == "believe":
        editor.retry_source(album)
    else:
        raise NotFound
    back = request.form.get("back", "")
    if back == "missing":
        return redirect(url_for("sleeves.missing"), 303)
    if back == "audit":
        return redirect(url_for("sleeves.audit", kind="dummy"), 303)
    return redirect(url_for("sleeves.cover", album_id=album.id, done=action), 303)


def _receive(album: Album, take: Callable[[BinaryIO], None], place: str) -> AnyResponse | None:
    """Hand the uploaded file to `take`; return the page with the reason if it is rejected, shown at its `place`."""
    file = request.files.get(FIELD)
    try:
        if file is None or not file.filename:
            raise ImageRejected("choose a file first")
        if isinstance(file.stream, UploadBuffer):
            if file.stream.is_too_large:
                raise UploadTooLarge(services().cover_editor.max_bytes, file.stream.size_bytes)
            if file.stream.has_failed:
                raise StorageError("upload", "not enough disk space on the server")
        take(file.stream)  # type: ignore[arg-type]
    except (ImageRejected, DecoderFailed, UploadTooLarge) as error:
        response = Response(_cover_page(album, **{place: _sentence(error)}), status_of(error))
        if response.status_code == 503:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response
    except StorageError as error:
        logger.error("own cover refused album=%s reason=%s", album.id, error)  # noqa: TRY400  a sentence, not a traceback
        return Response(_cover_page(album, **{place: f"Could not save the image: {error.reason}."}), 507)
    finally:
        if file is not None:
            file.close()
    return None


def _cover_page(album: Album, wrong: str = "", image_wrong: str = "") -> str:
    choice = services().cover_pages.choice(album)
    images = services().record_images.of(album.id)
    looks = services().covers.for_page([one.address for one in images])
    know_covers({**looks, album.picture: choice.cover})
    values: dict[str, Any] = {
        "album": album,
        "cover": choice.cover,
        "origin": view_models.origin(album, choice.tries),
        "note": view_models.note(album, choice),
        "size": view_models.dimensions_text(choice.image),
        "offers": choice.offers,
        "rejected": choice.rejected,
        "search": view_models.search_line(services().artwork.search()),
        "max_mb": services().settings.MAX_IMAGE_UPLOAD_SIZE_MB,
        "is_on": services().settings.FIND_COVERS,
        "done": view_models.DONE.get(request.args.get("done", ""), ""),
        "wrong": wrong,
        "images": [(one, looks[one.address]) for one in images],
        "kinds": KINDS,
        "image_wrong": image_wrong,
    }
    return render_template("covers/edit.html", **values)


def _section(flaw: str, count: int, first: int, limit: int) -> view_models.Section:
    groups = services().cover_pages.flawed(flaw, first, limit)
    know_covers({record.album.picture: record.cover for group in groups for record in group})
    return view_models.section(flaw, count, groups)


def _album(album_id: int) -> Album:
    album = services().library.album(album_id)
    if album is None:
        raise UnknownAlbum(album_id)
    return album


def _number(text: str, pages: int) -> int:
    number = whole_number(text, 1, 99_999_999)
    if number is None or number > pages:
        raise NotFound(f"Page “{text[:40]}” does not exist.")
    return number


def _sentence(error: CacheError) -> str:
    text = sentence_of(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
