"""What visitors do not see: your own notes and what you paid. What no one sees on a page: addresses of your own network and disks.

What is not known to be public is hidden. Notes are shown to visitors if the operator says so (`VINYL_VAULT_PUBLIC_NOTES`).
"""

import dataclasses
import re
from functools import lru_cache

from flask import g

from image_cache.errors import OriginDenied
from image_cache.models import Album
from image_cache.net.url import ip_literal, is_private_name, parse_url
from image_cache.web.context import is_member, services

# A line that names a sum, or what such a line is called in collections exported by Discogs and the like.
_PRICE = re.compile(
    r"\b(?:price|paid|cost|value|bought|purchase[ds]?|gekauft|preis|kaufpreis|bezahlt|prix|precio|prezzo)\b"
    r"|[$\u20ac\u00a3\u00a5]\s*\d|\d\s*(?:[$\u20ac\u00a3\u00a5]|(?:usd|eur|gbp|jpy|aud|cad|chf)\b)",
    re.IGNORECASE,
)


def for_viewer(album: Album) -> Album:
    """Return the record as this viewer may see it."""
    if _is_member():
        return album
    if may_read_notes():
        return dataclasses.replace(album, value="") if album.value else album
    notes = "\n".join(line for line in album.notes.splitlines() if not _PRICE.search(line))
    return dataclasses.replace(album, own_notes="", notes=notes, price="", bought="", value="")


def may_read_notes() -> bool:
    """Return True if this viewer may read all notes and prices, and find records by the words and sums in them."""
    return _is_member() or services().settings.PUBLIC_NOTES


def is_hidden(kind: str) -> bool:
    """Return True if this viewer may not sort or filter by `price` or `value`, which would tell them. Values are never public."""
    return (kind == "price" and not may_read_notes()) or (kind == "value" and not _is_member())


def _is_member() -> bool:
    if "is_member" not in g:  # a page of results requests each of its records
        g.is_member = is_member()
    return bool(g.is_member)


@lru_cache(maxsize=4096)
def public_source(url: str | None) -> str:
    """Return the URL of a cover for a page: only one of the public internet, without its query, which may be signed."""
    if not url:
        return ""
    try:
        host = parse_url(url).peer.host
    except OriginDenied:  # a path of the music disk, or anything else that is no web address
        return ""
    address = ip_literal(host)
    is_public = address.is_global if address is not None else "." in host and not is_private_name(host)
    return url.partition("?")[0].partition("#")[0] if is_public else ""
