"""MusicBrainz client, web service version 2: which releases a record may be. One request a second, as its rules require.

Source of addresses, fields and limits: "MusicBrainz API", "MusicBrainz API / Search" and "/ Rate Limiting" on musicbrainz.org.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from image_cache.errors import OriginNotFound, OriginUnavailable
from image_cache.frozen import frozen
from image_cache.net.json_api import JsonApiClient
from image_cache.net.json_values import MALFORMED, as_object, integer, line, objects
from image_cache.net.rate_limit import IntervalLimiter

INTERVAL_S = 1.1  # the rule is one a second, measured where requests arrive: the rest is for jitter of the network
BUSY_S = 5.0  # the pause after a 503 without Retry-After
MAX_FOUND = 10
MAX_LISTED = 100  # artists of a release, links of an address
MAX_CHARS = 200
MBID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_SPECIAL = re.compile(r'([+\-&|!(){}\[\]^"~*?:\\/])')


@frozen
class Release:
    """A release. `group` is the id of the release group, all its pressings together; `score` is 0 to 100, how well it matches."""

    mbid: str
    title: str = ""
    artist: str = ""
    group: str = ""
    year: str = ""
    country: str = ""
    score: int = 100
    release_label: str = ""
    catno: str = ""
    format: str = ""
    barcode: str = ""

    @property
    def label(self) -> str:
        """The release for users: title, artist, country and year."""
        who = f"{self.title} by {self.artist}" if self.title and self.artist else self.title or self.artist
        return ", ".join(part for part in (who, " ".join(part for part in (self.country, self.year) if part)) if part)


class MusicBrainz:
    """Calls MusicBrainz. `wait` is called with the seconds until the next call is allowed, and may raise to give up.

    Every method may raise what `JsonApiClient.get` raises; an unknown release is an empty result.
    """

    def __init__(self, api: JsonApiClient, rate_limit: IntervalLimiter, wait: Callable[[float], None]) -> None:
        self._api = api
        self._rate_limit = rate_limit
        self._wait = wait

    def by_mbid(self, mbid: str) -> list[Release]:
        """Return the release with an id; empty for text that is no id."""
        if not MBID.fullmatch(mbid):
            return []
        found = as_object(self._get("release", mbid, inc="release-groups+artist-credits"))
        return [_release(found)] if _id(found) else []

    def by_discogs(self, release_id: str) -> list[Release]:
        """Return the releases that are linked to a release at Discogs."""
        found = self._get("url", resource=f"https://www.discogs.com/release/{release_id}", inc="release-rels")
        releases = [as_object(relation.get("release")) for relation in objects(as_object(found).get("relations"), MAX_LISTED)]
        return [_release(release) for release in releases if _id(release)][:MAX_FOUND]

    def by_barcode(self, barcode: str) -> list[Release]:
        """Return the releases with a barcode, with or without the leading zero that makes an EAN of a UPC."""
        digits = re.sub(r"\D", "", barcode)
        spellings = dict.fromkeys((digits, digits.lstrip("0"), digits.zfill(13)))
        return self._search(" OR ".join(f"barcode:{code}" for code in spellings if code)) if len(digits) >= 8 else []

    def by_catno(self, catno: str, label: str, artist: str) -> list[Release]:
        """Return the releases with a catalogue number, of this label or by this artist."""
        others = [f"{field}:{phrase(text)}" for field, text in (("label", label), ("artist", artist)) if text.strip()]
        return self._search(f"catno:{phrase(catno)} AND ({' OR '.join(others)})") if others and catno.strip() else []

    def by_names(self, artist: str, title: str) -> list[Release]:
        """Return the releases of a title by an artist, the best match first."""
        return self._search(f"release:{phrase(title)} AND artist:{phrase(artist)}") if artist.strip() and title.strip() else []

    def by_words(self, text: str) -> list[Release]:
        """Return the releases that a text may mean: an artist, a title, both, or a catalogue number; the best match first."""
        words = " AND ".join(f"(artist:{phrase(word)} OR release:{phrase(word)})" for word in text.split()[:8])
        return self._search(f"catno:{phrase(text)} OR ({words})") if words else []

    def _search(self, query: str) -> list[Release]:
        found = as_object(self._get("release", query=query, limit=MAX_FOUND))
        return [_release(release) for release in objects(found.get("releases"), MAX_FOUND) if _id(release)]

    def _get(self, *path: str, **query: Any) -> Any:
        self._wait(self._rate_limit.reserve())
        try:
            return self._api.get(*path, **query, fmt="json").data
        except OriginNotFound:
            return None
        except OriginUnavailable as error:
            if error.status is not None and error.kind != MALFORMED:  # it responded, and asks for a pause
                self._rate_limit.back_off(BUSY_S if error.retry_after_s is None else error.retry_after_s)
            raise


def phrase(text: str) -> str:
    """Return text as a quoted phrase of the search syntax, with its special characters escaped."""
    words = " ".join(_CONTROL.sub(" ", text).split())[:200]
    return '"' + _SPECIAL.sub(r"\\\1", words) + '"'


def _id(found: Any) -> str:
    mbid = line(as_object(found).get("id"), MAX_CHARS)
    return mbid if MBID.fullmatch(mbid) else ""


def _release(found: Mapping[str, Any]) -> Release:
    credits_ = objects(found.get("artist-credit"), MAX_LISTED)
    artist = "".join(_text(credit.get("name")) + line(credit.get("joinphrase"), MAX_CHARS) for credit in credits_).strip()
    info = next(iter(objects(found.get("label-info"), 1)), {})
    return Release(
        mbid=_id(found),
        title=_text(found.get("title")),
        artist=artist[:MAX_CHARS],
        group=_id(found.get("release-group")),
        year=_text(found.get("date"))[:4],
        country=_text(found.get("country"))[:10],
        score=integer(found.get("score", 100), 0, 100) or 0,  # a lookup by id has none
        release_label=_text(as_object(info.get("label")).get("name")),
        catno=_text(info.get("catalog-number")),
        format=" + ".join(filter(None, (_text(medium.get("format")) for medium in objects(found.get("media"), 4)))),
        barcode=re.sub(r"[^0-9]", "", _text(found.get("barcode")))[:18],
    )


def _text(value: Any) -> str:
    return line(value, MAX_CHARS).strip()
