"""Text folding: one form of a name for sort keys, identities and search."""

import re
import unicodedata
from collections.abc import Iterable

# Letters that Unicode does not decompose into a base letter and a mark. casefold() converts sharp s.
_LETTERS = str.maketrans(
    {
        "æ": "ae",
        "ð": "d",
        "ø": "o",
        "þ": "th",
        "đ": "d",
        "ħ": "h",
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
        "ł": "l",
        "ŋ": "n",
        "œ": "oe",
        "ŧ": "t",
        "ə": "e",
        "ƒ": "f",
    }
)
# Left out on purpose: French "les" and Italian "lo", which are names as well (Les Paul), and Dutch and Spanish "de".
ARTICLES = ("the", "a", "an", "der", "die", "das", "le", "la", "el", "los", "las", "il")
MAX_QUERY_CHARS = 200  # of a search
MAX_QUERY_WORDS = 12
MAX_NAME_CHARS = 160  # of a name that is compared; the limit of new names is lower
_LEADING = re.compile(rf"(?:{'|'.join(ARTICLES)})\s+(?=\S)")
_TRAILING = re.compile(rf",\s(?:{'|'.join(ARTICLES)})$")
# Apostrophes and dots are removed without leaving a space: R.E.M. is filed as rem, Don't as dont.
_REMOVED = re.compile("['`.\N{ACUTE ACCENT}\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}]")
_GAPS = re.compile(r"[\W_]+")
_WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """Return the text in lower case without diacritics: Łódź becomes lodz, Straße strasse, MØ mo."""
    return _without_marks(text.casefold()).translate(_LETTERS)


def sort_key(text: str) -> str:
    """Return the key that a name is sorted by: folded, without its article ("The Beatles", "Beatles, The"), words and digits only.

    A name that does not begin with a letter from a to z gets a "#" in front, which sorts first: the first character of a key
    is the divider that it belongs to.
    """
    folded = " ".join(fold(text).split())
    bare = _TRAILING.sub("", folded)
    bare = _LEADING.sub("", bare, count=1) if _LEADING.match(bare) else bare
    key = _GAPS.sub(" ", _REMOVED.sub("", bare)).strip() or folded
    return key if "a" <= key[:1] <= "z" else f"#{key}"


def cut(text: str, limit: int) -> str:
    """Return the text cut to a length, between two words where there is a gap in its last fifth."""
    if len(text) <= limit:
        return text
    at = max(text.rfind(mark, limit * 4 // 5, limit + 1) for mark in " \n")
    return text[: at if at > 0 else limit].rstrip(" \n,;/&")


def account_key(name: str) -> str:
    """Return the key of an account name, equal for all its spellings: "Ida" and "ida" are one account."""
    folded = unicodedata.normalize("NFKC", name[:MAX_NAME_CHARS]).strip().casefold()
    return unicodedata.normalize("NFC", folded).encode("utf-8", errors="replace").decode("utf-8")


def respellings(texts: Iterable[str]) -> str:
    """Return the folded words that the full-text tokenizer would not produce: it strips marks, but keeps ø, ł, ß."""
    found: dict[str, None] = {}
    for text in texts:
        if text.isascii():
            continue
        for word in _WORD.findall(unicodedata.normalize("NFC", text)):
            folded = fold(word)
            if folded != _without_marks(word.lower()):
                found[folded] = None
    return " ".join(found)


def _without_marks(text: str) -> str:
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
