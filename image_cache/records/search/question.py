"""Question: the text of a search, read by the rules of the index, and as full-text syntax. Pure functions, no I/O."""

from collections.abc import Sequence

from image_cache.frozen import frozen
from image_cache.records.search.rules import JOINS, code_key, inches, name_key, plain, squash, unspaced
from image_cache.text import ARTICLES, MAX_QUERY_CHARS, MAX_QUERY_WORDS

MIN_CODE_CHARS = 3


@frozen
class Question:
    """What is looked for: plain `words` for the full-text index, `key` for whole names and their beginnings, `code` for numbers."""

    words: tuple[str, ...]
    key: str
    code: str

    @property
    def chars(self) -> int:
        return len(self.key)

    def terms(self, *, begins: bool) -> str:
        """Return the expression that finds all words, whole or as beginnings."""
        words = self.words
        if begins:  # "ab" is found wherever "abc" is: only the longest has to be looked up
            words = tuple(word for word in words if not any(other != word and other.startswith(word) for other in words))
        return " AND ".join(_term(word, begins=begins) for word in dict.fromkeys(words))

    def phrase(self) -> str:
        """Return the expression that finds the words side by side, the last one as a beginning."""
        return f'"{_tokens(" ".join(self.words))}" *'


def read_question(text: str) -> Question:
    """Return the query of a text. Nothing in it is full-text syntax; length and number of words are bounded."""
    written = inches(plain(storable(text[:MAX_QUERY_CHARS], spares='"')))
    return question_of(storable(written).split())


def question_of(written: Sequence[str]) -> Question:
    """Return the question of plain words."""
    words = [word for word in written if any(char.isalnum() for char in word)][:MAX_QUERY_WORDS]
    words = [word for word in words if word not in JOINS] or words
    if len(words) > 1 and words[0] in ARTICLES and any(word not in ARTICLES for word in words[1:]):
        words = words[1:]
    named = list(written)
    if len(named) > 1 and named[-1] == "the":  # "beatles the"
        named.pop()
    code = code_key("".join(written)) if len(squash("".join(written))) >= MIN_CODE_CHARS else ""
    return Question(tuple(words), name_key(" ".join(named)), code)


def storable(text: str, spares: str = "") -> str:
    """Return the text as SQLite takes it, and as a search of it can be quoted."""
    # SQLite ends text at NUL in the full-text syntax, and cannot encode half of a surrogate pair; a quote would end ours.
    return "".join(" " if (char in '\0"' and char not in spares) or "\ud800" <= char <= "\udfff" else char for char in text)


def _term(word: str, *, begins: bool) -> str:
    """Return the expression for a word: as it is written, or in one piece ("ac/dc" is two words to the index, and acdc)."""
    star = " *" if begins else ""
    forms = [f'"{form}"{star}' for form in dict.fromkeys((_tokens(word), squash(word)))]
    return f"({' OR '.join(forms)})"


def _tokens(text: str) -> str:
    return " ".join(unspaced(text).split())
