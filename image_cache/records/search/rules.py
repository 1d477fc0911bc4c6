"""Rules of the search: the words, keys and vocabulary of a record. Pure functions, no I/O.

A record is removed from the full-text index with the very text that it was added with. A change of these rules therefore needs a new
number of `RULES`: every catalogue then rebuilds its index in the background.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from image_cache.models import Album
from image_cache.text import ARTICLES, fold

RULES = 2
MAX_KEY_CHARS = 60
MAX_LATER_WORDS = 8  # of an artist from which a key begins
JOINS = frozenset(("and", "&", "+", "feat", "feat.", "featuring", "ft", "ft.", "with", "vs", "vs.", "und", "et", "y"))

# Scripts that put no spaces between words: Han, kana, Hangul, Thai, Lao, Burmese, Khmer. Their letters are words of their own.
_UNSPACED = "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"([{_UNSPACED}]+)")
_TOKEN = re.compile(r"[^\W_]+")
_INCHES = re.compile(r"(?<![\w.])(\d{1,2})(?:\"|\u201d|''|\u2032\u2032|[\s-]?inch(?:es)?\b)")
_CREDITS = re.compile(r"\s*[,;/]\s*|\s+(?:&|\+|and|feat\.?|featuring|ft\.?|with|vs\.?|und|et|y)\s+")
_TRAILING = re.compile(rf",\s(?:{'|'.join(ARTICLES)})$")
_CUT = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])")
# How a keyboard without these letters writes them. The plain letter is found as well.
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})


def plain(text: str) -> str:
    """Return the text in lower case without diacritics. Letters of scripts without spaces keep their marks, which are no accents."""
    if text.isascii():
        return text.lower()
    parts = _RUN.split(unicodedata.normalize("NFKC", text))
    return "".join(part if number % 2 else unicodedata.normalize("NFC", fold(part)) for number, part in enumerate(parts))


def spelled_out(text: str) -> str:
    """Return the text with ä, ö, ü, ø and å written as two letters, "" if it has none of them."""
    if text.isascii():
        return ""
    lowered = unicodedata.normalize("NFC", text).casefold()
    written = lowered.translate(_SPELLED_OUT)
    return plain(written) if written != lowered else ""


def inches(text: str) -> str:
    """Return plain text with the sizes of records in one form: 7", 7 inch and 7-inch become 7inch."""
    return _INCHES.sub(r"\1inch", text)


def squash(text: str) -> str:
    """Return the letters and digits of plain text, cut to a key; all its signs if it has no letter, for bands such as !!!."""
    return ("".join(_TOKEN.findall(text)) or "".join(text.split()))[:MAX_KEY_CHARS]


def name_words(text: str) -> list[str]:
    """Return the words of a plain name without joins and without its article; of nothing but articles all but the first."""
    words = _TRAILING.sub("", " ".join(text.split())).split()
    words = [word for word in words if word not in JOINS] or words
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words


def name_key(text: str) -> str:
    """Return the key of a plain name: "The Beatles", "Beatles, The" and "beatles" have the same."""
    return squash(" ".join(name_words(text)))


def code_key(text: str) -> str:
    """Return the key of a plain catalogue number or barcode, "" for text without a digit."""
    key = squash(text)
    return key.lstrip("0") if any(char.isdigit() for char in key) else ""


def unspaced(text: str) -> str:
    """Return plain text with spaces between the letters of scripts that have none."""
    return _RUN.sub(lambda run: f" {' '.join(char for char in run[0] if char.isalnum())} ", text)


def code_words(code: str) -> str:
    """Return what a catalogue number is found by: as it is written, cut between letters and digits, and in one piece."""
    number = plain(code)
    return " ".join((number, _CUT.sub(" ", number), squash(number)))


def year_words(year: int) -> str:
    """Return what a year is found by: 1959, 1950s, 50s."""
    decade = year // 10 * 10
    return f"{year} {decade}s {decade % 100:02}s"


def columns(album: Album) -> tuple[str, str, str, str]:
    """Return the text of the four columns of the full-text index: names, facts, tracks, notes."""
    return (
        indexed((album.artist, album.title)),
        " ".join(_facts(album)),
        indexed(track.title for track in album.tracks),
        indexed((album.notes, album.own_notes)),
    )


def keys(album: Album) -> set[tuple[str, str]]:
    """Return (kind, key) of what a record is found by as a whole, or by its beginning.

    Kinds: a artist, w the artist from a later word of his name on, j another credited artist, x the same from a later word on,
    t title, b artist and title, l label, c catalogue number, d barcode and number of the release.
    """
    found: set[tuple[str, str]] = set()
    artists, titles = _spellings(album.artist), _spellings(album.title)
    found.update(("a", name_key(name)) for name in artists)
    found.update(("t", name_key(name)) for name in titles)
    found.update(("b", squash(name_key(name) + name_key(title))) for name, title in zip(artists, titles, strict=False))
    for name in artists:
        first, *others = [part for part in _CREDITS.split(name) if part and part not in ARTICLES] or [name]
        found.update(("w", key) for key in _later(name_words(name), len(name_words(first))))
        for part in others:
            words = name_words(part)
            found.add(("j", squash(" ".join(words))))
            found.update(("x", key) for key in _later(words, len(words)))
    if album.label:
        found.update(("l", name_key(name)) for name in _spellings(album.label))
    found.add(("c", code_key(plain(album.catno))))
    found.update(("d", code_key(code)) for code in (album.barcode, _release(album)))
    return {(kind, key) for kind, key in found if key}


def vocabulary(album: Album) -> set[str]:
    """Return the words that a slip may have been meant as: of names, label, genres and styles, which everyone may see."""
    texts = (album.artist, album.title, album.label, *album.genres, *album.styles)
    return {
        word for text in texts for form in _spellings(text) for word in _TOKEN.findall(form) if word.isalpha() and len(word) > 2
    }


def _spellings(text: str) -> list[str]:
    other = spelled_out(text)
    return [plain(text), other] if other else [plain(text)]


def _later(words: Sequence[str], before: int) -> list[str]:
    """Return the keys of a name from each later word on, of those before the given one."""
    return [squash(" ".join(words[at:])) for at in range(1, min(before, MAX_LATER_WORDS)) if words[at] not in ARTICLES]


def _release(album: Album) -> str:
    return album.release_id if album.release_id.isdigit() else ""


def indexed(texts: Iterable[str]) -> str:
    """Return plain text followed by the words in it that the tokenizer would not make."""
    parts: list[str] = []
    others: dict[str, None] = {}
    for text in texts:
        if text:
            written = plain(text)
            parts.append(written)
            others.update(dict.fromkeys(_other_words(text, written)))
    return " ".join((*parts, *others))


def _other_words(text: str, written: str) -> Iterator[str]:
    for word in written.split():
        if not word.isalnum() and len(_TOKEN.findall(word)) > 1:  # R.E.M., AC/DC, O'Connor
            yield squash(word)
    yield from spelled_out(text).split()
    for size in _INCHES.findall(written):
        yield f"{size}inch"
    if not text.isascii():
        yield from (" ".join(char for char in run if char.isalnum()) for run in _RUN.findall(written))


def _facts(album: Album) -> Sequence[str]:
    found = [indexed((album.label,))]
    if album.catno:
        found.append(code_words(album.catno))
    if album.year:
        found.append(year_words(album.year))
    found += [indexed((*album.genres, *album.styles))]
    found += [inches(plain(form)) for form in album.formats]
    return [part for part in (*found, album.barcode, _release(album), indexed((album.shelf,))) if part]
