"""Question: the text of a search, read by the rules of the index, and as full-text syntax. Pure functions, no I/O."""

from collections.abc import Sequence

from image_cache.frozen import frozen
from image_cache.records.search.rules import JOINS, code_key, inches, name_key, plain, squash, unspaced
from image_cache.text import ARTICLES, MAX_QUERY_CHARS, MAX_QUERY_WORDS

MIN_CODE_CHARS = 3
# Ways to write one word on a sleeve, each found by any of the others.
_FORMS = (
    "doctor dr, mister mr, saint st, volume vol, part pt, brothers bros, one 1, two 2 ii, three 3 iii, four 4 iv, five 5, six 6 vi,"
    " seven 7 vii, eight 8 viii, nine 9 ix, ten 10, fifties 1950s, sixties 1960s, seventies 1970s, eighties 1980s, nineties 1990s"
)
OTHER_FORMS = {
    word: tuple(other for other in forms if other != word) for forms in map(str.split, _FORMS.split(",")) for word in forms
}
DECADES = ("1950s", "1960s", "1970s", "1980s", "1990s")


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
        """Return the expression that finds the words side by side, the last one as a beginning, or one of them written otherwise."""
        phrases = [f'"{_tokens(" ".join(self.words))}" *']
        for at, word in enumerate(self.words):
            others = OTHER_FORMS.get(squash(word), ())
            phrases += [f'"{_tokens(" ".join((*self.words[:at], other, *self.words[at + 1 :])))}"' for other in others]
        return " OR ".join(phrases)


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
    """Return the expression for a word: as it is written, in one piece ("ac/dc" is two words to the index, and acdc), or otherwise."""
    star = " *" if begins else ""
    forms = [f'"{form}"{star}' for form in dict.fromkeys((_tokens(word), squash(word)))]
    for other in OTHER_FORMS.get(squash(word), ()):  # a catalogue number is full of single digits
        forms.append(f'"{other}"' if other in DECADES else f'{{names tracks}} : "{other}"')
    return f"({' OR '.join(forms)})"


def _tokens(text: str) -> str:
    return " ".join(unspaced(text).split())
