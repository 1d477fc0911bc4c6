"""MusicBrainz, web service version 2: which releases a record may be. One request a second, as its rules ask.

Source of addresses, fields and limits: "MusicBrainz API", "MusicBrainz API / Search" and "/ Rate Limiting" on musicbrainz.org.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_cache.errors import OriginNotFound, OriginUnavailable
from image_cache.net.json_api import JsonApiClient
from image_cache.net.rate_limit import IntervalLimiter

INTERVAL_S = 1.1  # one a second is the rule, measured where the requests arrive: a little more than that leaves room for the way
BUSY_S = 5.0  # how long to keep still after a 503 that does not say
MOST_FOUND = 10
MBID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_SPECIAL = re.compile(r'([+\-&|!(){}\[\]^"~*?:\\/])')


@dataclass(frozen=True, slots=True)
class Release:
    """A release as MusicBrainz tells it. `group` is the id of all its pressings together; `score` 0 to 100 says how well it fits."""

    mbid: str
    title: str = ""
    artist: str = ""
    group: str = ""
    year: str = ""
    country: str = ""
    score: int = 100

    @property
    def says(self) -> str:
        """Name the release for people: title, artist, where and when it came out."""
        who = f"{self.title} by {self.artist}" if self.title and self.artist else self.title or self.artist
        return ", ".join(part for part in (who, " ".join(part for part in (self.country, self.year) if part)) if part)


class MusicBrainz:
    """Asks MusicBrainz. `wait` is called with the seconds until this caller's turn, and may raise to end it.

    Every method may raise what `JsonApiClient.get` raises; a release that is not known is an empty answer.
    """

    def __init__(self, api: JsonApiClient, turns: IntervalLimiter, wait: Callable[[float], None]) -> None:
        self._api = api
        self._turns = turns
        self._wait = wait

    def by_mbid(self, mbid: str) -> list[Release]:
        """Return the release of an id; none for text that is no id."""
        if not MBID.fullmatch(mbid):
            return []
        found = self._get("release", mbid, inc="release-groups+artist-credits")
        return [_release(found)] if isinstance(found, dict) and _id(found) else []

    def by_discogs(self, release_id: str) -> list[Release]:
        """Return the releases that are linked with a release at Discogs."""
        found = self._get("url", resource=f"https://www.discogs.com/release/{release_id}", inc="release-rels")
        relations = _list(found, "relations")
        return [_release(one["release"]) for one in relations if _id(one.get("release"))][:MOST_FOUND]

    def by_barcode(self, barcode: str) -> list[Release]:
        """Return the releases with a barcode, with or without the zero that makes an EAN of an American one."""
        digits = re.sub(r"\D", "", barcode)
        spellings = dict.fromkeys((digits, digits.lstrip("0"), digits.zfill(13)))
        return self._search(" OR ".join(f"barcode:{one}" for one in spellings if one)) if len(digits) >= 8 else []

    def by_catno(self, catno: str, label: str, artist: str) -> list[Release]:
        """Return the releases with a catalogue number of this label or by this artist."""
        others = [f"{field}:{phrase(text)}" for field, text in (("label", label), ("artist", artist)) if text.strip()]
        return self._search(f"catno:{phrase(catno)} AND ({' OR '.join(others)})") if others and catno.strip() else []

    def by_names(self, artist: str, title: str) -> list[Release]:
        """Return the releases of a title by an artist, the best first."""
        return self._search(f"release:{phrase(title)} AND artist:{phrase(artist)}") if artist.strip() and title.strip() else []

    def _search(self, query: str) -> list[Release]:
        found = self._get("release", query=query, limit=MOST_FOUND)
        return [_release(one) for one in _list(found, "releases") if _id(one)]

    def _get(self, *path: str, **query: Any) -> Any:
        self._wait(self._turns.reserve())
        try:
            return self._api.get(*path, **query, fmt="json").data
        except OriginNotFound:
            return None
        except OriginUnavailable as error:
            if error.status is not None:  # it answered, and asks for a rest
                self._turns.back_off(BUSY_S if error.retry_after_s is None else error.retry_after_s)
            raise


def phrase(text: str) -> str:
    """Return text as a phrase of the search language: quoted, and nothing in it means anything."""
    words = " ".join(_CONTROL.sub(" ", text).split())[:200]
    return '"' + _SPECIAL.sub(r"\\\1", words) + '"'


def _id(found: Any) -> str:
    mbid = found.get("id") if isinstance(found, Mapping) else None
    return mbid if isinstance(mbid, str) and MBID.fullmatch(mbid) else ""


def _list(found: Any, name: str) -> Sequence[Mapping[str, Any]]:
    values = found.get(name) if isinstance(found, Mapping) else None
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _release(found: Mapping[str, Any]) -> Release:
    credits_ = _list(found, "artist-credit")
    artist = "".join(_text(one.get("name")) + _text(one.get("joinphrase"), strip=False) for one in credits_).strip()
    score = found.get("score", 100)
    return Release(
        mbid=_id(found),
        title=_text(found.get("title")),
        artist=artist[:200],
        group=_id(found.get("release-group")),
        year=_text(found.get("date"))[:4],
        country=_text(found.get("country"))[:10],
        score=score if isinstance(score, int) else 0,
    )


def _text(value: Any, *, strip: bool = True) -> str:
    text = _CONTROL.sub(" ", value)[:200] if isinstance(value, str) else ""
    return text.strip() if strip else text
