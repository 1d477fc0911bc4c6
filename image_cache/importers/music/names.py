"""What the names of folders and files, and the texts of tags, say: years, genres, track numbers, discs. Pure, no I/O."""

import re
import unicodedata
from collections.abc import Iterator

UNKNOWN = "Unknown artist"

Names = tuple[str, ...]  # a path below a root, as names

_NUMBER = re.compile(r"0*(\d{1,4})(?:\D.*)?")
_SIDED = re.compile(r"([A-H])\s?0*(\d{1,2})", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
_FILE_NUMBER = re.compile(r"(?:(\d)-)?(?:([A-H]?\d{1,3})(?:\s*[.)_-]+\s*|\s+))?(.+)", re.IGNORECASE)
_DASHES = re.compile(r"\s+[-\u2013\u2014]\s+")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")

# A disc in the name of a folder, or at the end of a title: its medium, and its number in digits, as a word or in Roman numerals.
_WORDS = {
    word: number
    for number, word in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], 1
    )
}
_ROMAN = {
    numeral: number
    for number, numeral in enumerate(["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"], 1)
}
_COUNT = rf"0*(?P<number>\d{{1,3}}|{'|'.join((*_WORDS, *_ROMAN))})(?![a-z\d])"
_KIND = r"(?:enhanced |hybrid |mixed mode |copy control )?(?:bonus |extra )?"
_MEDIUM = r"(?:dis[ck]|(?:sa|hd|shm-)?cd|dvd(?:-?(?:audio|video|a|v))?|blu-?ray(?: dis[ck])?|digital media|vinyl|lp|cassette|tape|mini-?dis[ck])"
_INCHES = r"(?:\d{1,2}\s?(?:_|\"|''|\u2033|\u201d|inch)\s*)?"
_TAIL = r"(?:\s*(?:of|/)\s*\d+)?[\])]?"
_FOLDER = re.compile(rf"[\[(]?{_INCHES}{_KIND}{_MEDIUM}[\s._#-]*{_COUNT}{_TAIL}(?:[\s._:,(\[\u2013-].*)?", re.IGNORECASE)
_UNNUMBERED = re.compile(
    rf"[\[(]?(?:{_INCHES}{_KIND}(?:(?:sa|hd|shm-)?cd|dvd(?:-?(?:audio|video|a|v))?|blu-?ray(?: dis[ck])?|digital media)|(?:bonus|extra) {_MEDIUM}|\d{{1,2}}_ ?vinyl)[\])]?",
    re.IGNORECASE,
)
_LATER = re.compile(r"bonus|extra|dvd|blu", re.IGNORECASE)  # what comes with an album, not another copy of it
_SUFFIX = re.compile(rf"[\s,:-]*[\[(]?\b(?:(?:bonus |sa|hd)?cd|dis[ck])[\s._#-]*{_COUNT}{_TAIL}$", re.IGNORECASE)
LATER = 0  # the disc after those that have numbers


def plain(text: str) -> str:
    """Return a tag for a page: composed (NFC), without control characters or repeated spaces. Not cut."""
    return " ".join(_NOT_TEXT.sub(" ", unicodedata.normalize("NFC", text)).split())


def year_of(text: str) -> str:
    """Return the first year in a text, "" if there is none."""
    found = _YEAR.search(text)
    return found[1] if found else ""


def genres_of(values: tuple[str, ...]) -> Iterator[str]:
    """Yield single genres; not split at commas, which are part of some names (Folk, World, & Country)."""
    for value in values:
        for part in re.split(r"[;|\0]|\s/\s", value):
            if genre := plain(part):
                yield genre


def named_by_folder(path: Names) -> tuple[str, str, int | None]:
    """Return (artist, title, year) by the names of an album's folder and its parent."""
    name = _spaced(path[-1])
    parts = [part for part in _DASHES.split(name) if part]
    year = next((part for part in parts[:2] if len(parts) > 1 and re.fullmatch(r"[\[(]?\d{4}[\])]?", part) and year_of(part)), "")
    if year:
        parts.remove(year)
    title = parts[-1] if len(parts) < 3 else " - ".join(parts[1:])
    bracketed = re.search(r"\s*[\[(](\d{4})[\])]\s*", title)
    if bracketed and year_of(bracketed[1]) and bracketed[0].strip() != title.strip():
        year, title = year or bracketed[1], (title[: bracketed.start()] + " " + title[bracketed.end() :]).strip()
    artist = parts[0] if len(parts) > 1 else _spaced(path[-2]) if len(path) > 1 else UNKNOWN
    return artist or UNKNOWN, title or name, int(year_of(year) or 0) or None


def _spaced(name: str) -> str:
    text = plain(name.encode("utf-8", "replace").decode("utf-8"))
    return plain(text.replace("_", " ")) if " " not in text else text


def named_by_file(name: str) -> tuple[str, str, str]:
    """Return (disc, number, title) by the name of a file."""
    stem = _spaced(name.rpartition(".")[0])
    found = _FILE_NUMBER.fullmatch(stem)
    if found is None or not found[3]:
        return "", "", stem
    return found[1] or "", found[2] or "", found[3].strip() or stem


def without_disc(album: str) -> tuple[str, int | None]:
    """Split "(Disc 2)" from the end of an album's title."""
    found = _SUFFIX.search(album)
    if found is None or not (title := album[: found.start()].strip()):
        return album, None
    return title, _counted(found["number"])


def number_of(text: str) -> int:
    found = _NUMBER.fullmatch(text.strip())
    return min(int(found[1]), 9999) if found else 0


def position_of(text: str) -> tuple[str, tuple[int, int]]:
    """Return a track's position as printed, and its sort key: A1 before A2 before B1, 2 before 10."""
    sided = _SIDED.fullmatch(text.strip())
    if sided:
        return f"{sided[1].upper()}{int(sided[2])}", (ord(sided[1].upper()) - 64, int(sided[2]))
    number = number_of(text)
    return (str(number) if number else ""), (0, number or 9999)


def disc_of_folder(name: str) -> int | None:
    """Return the number of a disc folder: 1 for `CD`, 2 for `Disc 2 - Live` and `CD II`, `LATER` for `Bonus DVD`. None for any other folder."""
    if found := _FOLDER.fullmatch(name):
        return _counted(found["number"])
    if _UNNUMBERED.fullmatch(name):
        return LATER if _LATER.search(name) else 1
    return None


def _counted(text: str) -> int:
    lower = text.lower()
    return _WORDS.get(lower) or _ROMAN.get(lower) or int(lower)
