"""What visitors do not see: your own notes, what you paid, and addresses of your own network and disks.

What is not known to be public is hidden. Notes are shown to visitors if the operator says so (`VINYL_VAULT_PUBLIC_NOTES`).
"""

import dataclasses
import re
from collections.abc import Callable
from functools import lru_cache

from flask import g

from image_cache.errors import OriginDenied
from image_cache.models import Album
from image_cache.net.url import ip_literal, is_private_name, parse_url
from image_cache.web.context import may_change, services

# A line that names a sum, or what such a line is called in collections exported by Discogs and the like.
_PRICE = re.compile(
    r"\b(?:price|paid|cost|value|bought|purchase[ds]?|gekauft|preis|kaufpreis|bezahlt|prix|precio|prezzo)\b"
    r"|[$\u20ac\u00a3\u00a5]\s*\d|\d\s*(?:[$\u20ac\u00a3\u00a5]|(?:usd|eur|gbp|jpy|aud|cad|chf)\b)",
    re.IGNORECASE,
)


def for_viewer(album: Album) -> Album:
    """Return the record as this viewer may see it."""
    if may_read_notes():
        return album
    notes = "\n".join(line for line in album.notes.splitlines() if not _PRICE.search(line))
    return dataclasses.replace(album, own_notes="", notes=notes)


def may_read_notes() -> bool:
    """Return True if this viewer may read all notes, and find records by their words."""
    return _sees_everything() or services().settings.PUBLIC_NOTES


def source_for_viewer(url: str | None) -> str:
    """Return the URL of a cover for owners; for visitors only one of the public internet, without its query, which may be signed."""
    return url or "" if not url or _sees_everything() else _public_part(url)


def sources_for_viewer() -> Callable[[str], str]:
    """Return a function that does what `source_for_viewer` does, for pages that show many covers."""
    return _whole if _sees_everything() else _public_part


def _sees_everything() -> bool:
    if "sees_everything" not in g:  # a wall requests each of its covers
        g.sees_everything = may_change()
    return bool(g.sees_everything)


@lru_cache(maxsize=4096)
def _whole(url: str) -> str:
    return url


@lru_cache(maxsize=4096)
def _public_part(url: str) -> str:
    try:
        host = parse_url(url).peer.host
    except OriginDenied:  # a path of the music disk, or anything else that is no web address
        return ""
    address = ip_literal(host)
    is_public = address.is_global if address is not None else "." in host and not is_private_name(host)
    return url.partition("?")[0].partition("#")[0] if is_public else ""
