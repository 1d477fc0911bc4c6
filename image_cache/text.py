"""How names are spelled for comparing: one folded form for sort keys, identities and the search. Knows no table."""

import re
import unicodedata
from collections.abc import Iterable

# Letters that Unicode does not take apart into a base letter and a mark; sharp s is dealt with by casefold.
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
_ARTICLES = ("the", "a", "an", "der", "die", "das", "le", "la", "el", "los", "las", "il")
MAX_QUERY_CHARS = 200  # of what somebody types into a search field
MAX_QUERY_WORDS = 12
MAX_NAME_CHARS = 160  # of a name that is compared; one that is made has fewer
_LEADING = re.compile(rf"(?:{'|'.join(_ARTICLES)})\s+(?=\S)")
_TRAILING = re.compile(rf",\s(?:{'|'.join(_ARTICLES)})$")
# Apostrophes of all sorts and dots are dropped without leaving a gap: R.E.M. files as rem, Don't as dont.
_QUIET = re.compile("['`.\N{ACUTE ACCENT}\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}]")
_GAPS = re.compile(r"[\W_]+")
_WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """Return the text in lower case without diacritics: Łódź is lodz, Straße strasse, MØ mo."""
    return _without_marks(text.casefold()).translate(_LETTERS)


def sort_key(text: str) -> str:
    """Return where a name is filed: folded, no article in front (or behind, as in "Beatles, The"), words and digits only.

    What does not begin with a letter from a to z gets "#" in front, which sorts before them all: the first character of
    a key is the divider that it stands behind.
    """
    folded = " ".join(fold(text).split())
    bare = _TRAILING.sub("", folded)
    bare = _LEADING.sub("", bare, count=1) if _LEADING.match(bare) else bare
    key = _GAPS.sub(" ", _QUIET.sub("", bare)).strip() or folded
    return key if "a" <= key[:1] <= "z" else f"#{key}"


def account_key(name: str) -> str:
    """Return what two spellings of one account's name have in common: "Ida" and "ida" are one."""
    folded = unicodedata.normalize("NFKC", name[:MAX_NAME_CHARS]).strip().casefold()
    return unicodedata.normalize("NFC", folded).encode("utf-8", errors="replace").decode("utf-8")


def respellings(texts: Iterable[str]) -> str:
    """Return the folded words that the full-text tokenizer would not make itself: it strips marks, but keeps ø, ł, ß."""
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
