"""Search of the records by words: the statement, and which words everyone may look for."""

import re

from image_cache.models import Album
from image_cache.text import MAX_QUERY_CHARS, MAX_QUERY_WORDS, fold, sort_key

NAMES = "title artist label tracks"  # the columns of `words` that everyone may search
_WORDS = re.compile(r"[^\W_]+")


def text_search(text: str, *, with_notes: bool, columns: str = f"{NAMES} folded") -> tuple[str, tuple[str, ...]]:
    """Return the statement and values that find all words of a search, each as the beginning of a word; in `columns` without notes.

    Words are quoted, so nothing in them is full-text syntax; length and number are bounded, so no text is expensive.
    """
    text = storable(text[:MAX_QUERY_CHARS])
    words = [word for word in text.lower().split() if any(char.isalnum() for char in word)]
    if not words:
        # "!!!" and "+/-" are bands, but no tokens. Their sort keys are the characters themselves, and a range of an index.
        first = sort_key(text)
        last = first + "\U0010ffff"
        sql = "SELECT id FROM albums WHERE artist_sort BETWEEN ? AND ? OR title_sort BETWEEN ? AND ?"
        return sql, (first, last, first, last)
    # "ab" is found wherever "abc" is: only the longest has to be looked up.
    longest = [word for word in words if not any(other != word and other.startswith(word) for other in words)]
    terms = " ".join(f'"{word}" *' for word in list(dict.fromkeys(longest))[:MAX_QUERY_WORDS])
    return "SELECT rowid FROM words WHERE words MATCH ?", (terms if with_notes else f"{{{columns}}} : ({terms})",)


def searched_names(album: Album) -> tuple[str, ...]:
    """Return the texts of a record that everyone may search."""
    return album.title, album.artist, album.label, *(track.title for track in album.tracks)


def has_words(names: str, text: str) -> bool:
    """Return True if every word of a search begins a word of these names, of which the index has respellings."""
    if names.isascii():  # there are none of them
        return False
    known = _WORDS.findall(f"{fold(names)} {names.casefold()}")
    return all(any(name.startswith(word) for name in known) for word in _WORDS.findall(fold(text)))


def storable(text: str) -> str:
    """Return the text as SQLite takes it, and as a search of it can be quoted."""
    # SQLite ends text at NUL in the full-text syntax, and cannot encode half of a surrogate pair; a quote would end our string.
    return "".join(" " if char in '\0"' or "\ud800" <= char <= "\udfff" else char for char in text)
