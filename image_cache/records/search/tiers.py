"""Search by tiers: the first tier that a record is in decides its place, within one the order of the shelf."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product

from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import parameter_marks
from image_cache.db.dialect import json_list
from image_cache.records.search.question import Question, question_of, read_question, storable
from image_cache.records.search.rules import RULES, name_key
from image_cache.records.search.slips import MIN_CHARS, TWO_SLIPS_CHARS, distance, half
from image_cache.text import ARTICLES, sort_key

ENOUGH = 1000  # hits after which no further tier is begun
MAX_SPLITS = 6  # words of a question that may be an artist and a title in two parts
MIN_REST_CHARS = 3
MAX_CANDIDATES = 6  # for a word with a slip,
MAX_CORRECTIONS = 12  # and for all words together
LAST = chr(0x10FFFF)
_IDS = json_list("album_id")
# The tiers: what of a record is what was looked for.
(ARTIST, TITLE, BOTH, CREDITED, CODE, LABEL, ARTIST_BEGINS, LATER_BEGINS, TITLE_BEGINS, BOTH_BEGIN, CREDITED_BEGINS) = range(11)
(SPLIT, SPLIT_WHOLE, SPLIT_BEGINS, SPLIT_ANY, SIDE_BY_SIDE, NAMES, NAMES_BEGIN, TRACK, FACTS, NAMES_FACTS) = range(11, 21)
(CODE_BEGINS, NAMES_FACTS_BEGIN, TRACKS_BEGIN, NOTES) = range(21, 25)


@dataclass(slots=True)
class SearchHits:
    """The records that a search found, each with its tier. `correction` is the text that was looked for instead, "" if none was.

    `has_more`: the search ended at `ENOUGH` hits. `is_incomplete`: some records are not in the index yet.
    """

    tiers: dict[int, int] = field(default_factory=dict)
    correction: str = ""
    has_more: bool = False
    is_incomplete: bool = False


class TieredSearch:
    """Reads the tables of the search. Any thread."""

    def __init__(self, catalog: CatalogDatabase) -> None:
        self._db = catalog

    def find(self, text: str, *, with_notes: bool, among: Collection[int] | None = None) -> SearchHits:
        """Return the records that a text finds, of those in `among`; if there are none at all, those of a likely correction."""
        question = read_question(text)
        if not question.key:
            return SearchHits()
        upto, is_incomplete = self._state()
        hits = self._find(question, with_notes, among)
        if is_incomplete:
            hits.is_incomplete = True
            for album_id in self._unindexed(question, upto):
                if among is None or album_id in among:
                    hits.tiers.setdefault(album_id, NAMES_BEGIN)
        if hits.tiers or (among is not None and self._find(question, with_notes, None).tiers):
            return hits
        best = hits
        for words in islice(self._corrections(question), MAX_CORRECTIONS):
            other = self._find(question_of(words), with_notes, among)
            if other.tiers and (not best.tiers or _rank(other) < _rank(best)):
                best = other
                best.correction = " ".join(words)
        best.is_incomplete = is_incomplete
        return best

    def _find(self, question: Question, with_notes: bool, among: Collection[int] | None) -> SearchHits:
        hits = SearchHits()
        for tier, ids in self._tiers(question, with_notes):
            for album_id in ids:
                if album_id not in hits.tiers and (among is None or album_id in among):
                    hits.tiers[album_id] = tier
            if len(hits.tiers) >= ENOUGH:
                hits.has_more = True
                break
        return hits

    def _tiers(self, question: Question, with_notes: bool) -> Iterator[tuple[int, Collection[int]]]:
        """Yield the tiers in order, each with what it finds. Those after the last one that is taken cost nothing."""
        key, words = question.key, question.words
        for tier, kind in ((ARTIST, "a"), (TITLE, "t"), (BOTH, "b"), (CREDITED, "j")):
            yield tier, self._keyed(kind, key)
        if question.code:
            yield CODE, self._keyed("c", question.code) + self._keyed("d", question.code)
        yield LABEL, self._keyed("l", key)
        for tier, kind in ((ARTIST_BEGINS, "a"), (LATER_BEGINS, "w"), (TITLE_BEGINS, "t"), (BOTH_BEGIN, "b")):
            yield tier, self._beginning(kind, key)
        yield CREDITED_BEGINS, self._beginning("j", key) + self._beginning("x", key)
        if not words:  # "!!!" and "+/-" are bands, but no words
            return
        begins = question.chars > 1
        asked: dict[tuple[str, bool], Collection[int]] = {}

        def found(columns: str, begins: bool) -> Collection[int]:
            if (columns, begins) not in asked:
                asked[columns, begins] = self._matching(columns, question.terms(begins=begins))
            return asked[columns, begins]

        everything = "names facts tracks notes" if with_notes else "names facts tracks"
        is_wide = question.chars > 2  # "19" begins a word of almost every record
        if len(words) > 1:
            yield from self._splits(words, found, everything, is_wide)
            yield SIDE_BY_SIDE, self._matching("names", question.phrase())
        yield NAMES, found("names", False)
        if begins:
            yield NAMES_BEGIN, found("names", True)
        if len(words) > 1:
            yield TRACK, self._matching("tracks", question.phrase())
        yield FACTS, found("facts", False)
        if len(words) > 1:
            yield NAMES_FACTS, found("names facts", False)
        if question.code:
            yield CODE_BEGINS, self._beginning("c", question.code) + self._beginning("d", question.code)
        if is_wide:
            yield NAMES_FACTS_BEGIN, found("names facts", True)
        yield TRACKS_BEGIN, found("names facts tracks", is_wide)
        if with_notes:
            yield NOTES, found(everything, is_wide)

    def _splits(
        self, words: Sequence[str], found: Callable[[str, bool], Collection[int]], everything: str, is_wide: bool
    ) -> Iterator[tuple[int, Collection[int]]]:
        """Yield what is found if some of the words are exactly an artist, and the others belong to his record."""
        cuts = range(1, len(words)) if len(words) <= MAX_SPLITS else ()
        pairs = [(list(one), list(other)) for at in cuts for one, other in ((words[:at], words[at:]), (words[at:], words[:at]))]
        artists = {artist: rest for one, rest in pairs if (artist := name_key(" ".join(one)))}
        by_artist = self._keyed_any("a", artists)
        records: set[int] = set()
        exact: list[int] = []
        for artist, ids in by_artist.items():
            rest = artists[artist]
            exact += set(ids).intersection(self._keyed("t", name_key(" ".join(rest))))
            if len("".join(rest)) >= MIN_REST_CHARS and any(word not in ARTICLES for word in rest):
                records.update(ids)
        yield SPLIT, exact
        if records:
            yield SPLIT_WHOLE, records.intersection(found("names", False))
            yield SPLIT_BEGINS, records.intersection(found("names", True))
            yield SPLIT_ANY, records.intersection(found(everything, is_wide))

    def _corrections(self, question: Question) -> Iterator[tuple[str, ...]]:
        """Yield the words with likely slips corrected, the likeliest first: first of one letter, then of two."""
        words = question.words
        can_slip = [len(word) >= MIN_CHARS and word.isalpha() for word in words]
        unknown = [at for at, word in enumerate(words) if can_slip[at] and not self._begins_term(word)]
        for limit in (1, 2):
            if unknown:
                choices = [self._candidates(word, limit) if at in unknown else [word] for at, word in enumerate(words)]
                yield from product(*choices)
            else:
                for at in (at for at in range(len(words)) if can_slip[at]):
                    yield from ((*words[:at], other, *words[at + 1 :]) for other in self._candidates(words[at], limit))

    def _candidates(self, word: str, limit: int) -> list[str]:
        """Return words of the vocabulary that differ in `limit` letters at most; for two the word must be long."""
        if limit > 1 and len(word) < TWO_SLIPS_CHARS:
            limit = 1
        begin, end = word[: half(word)], word[-half(word) :][::-1]
        sizes = (len(word) - limit, len(word) + limit)
        rows = self._db.rows(
            "SELECT term FROM vocabulary WHERE term >= ? AND term < ? AND length(term) BETWEEN ? AND ?"
            " UNION SELECT term FROM vocabulary WHERE backwards >= ? AND backwards < ? AND length(term) BETWEEN ? AND ?",
            (begin, begin + LAST, *sizes, end, end + LAST, *sizes),
        )
        near = sorted((far, term) for row in rows if 0 < (far := distance(word, term := row[0], limit)) <= limit)
        return [term for _, term in near[:MAX_CANDIDATES]]

    def _begins_term(self, word: str) -> bool:
        return self._db.row("SELECT 1 FROM vocabulary WHERE term >= ? AND term < ? LIMIT 1", (word, word + LAST)) is not None

    # Statements. The ids of a result come as one text: half the cost of as many rows.

    def _keyed(self, kind: str, key: str) -> list[int]:
        return self._ids(f"SELECT {_IDS} FROM keys WHERE kind = ? AND key = ?", kind, key) if key else []

    def _keyed_any(self, kind: str, keys: Iterable[str]) -> dict[str, list[int]]:
        wanted = list(keys)
        if not wanted:
            return {}
        sql = f"SELECT key, {_IDS} FROM keys WHERE kind = ? AND key IN ({parameter_marks(len(wanted))}) GROUP BY key"
        return {row[0]: json.loads(row[1]) for row in self._db.rows(sql, (kind, *wanted))}

    def _beginning(self, kind: str, key: str) -> list[int]:
        sql = f"SELECT {_IDS} FROM keys WHERE kind = ? AND key >= ? AND key < ?"
        return self._ids(sql, kind, key, key + LAST)

    def _matching(self, columns: str, expression: str) -> list[int]:
        return self._ids(f"SELECT {json_list('rowid')} FROM words WHERE words MATCH ?", f"{{{columns}}} : ({expression})")

    def _ids(self, sql: str, *values: str) -> list[int]:
        row = self._db.row(sql, values)
        found: list[int] = json.loads(row[0]) if row else []
        return found

    def _state(self) -> tuple[int, bool]:
        """Return the last record that is in the index, and whether there are later ones."""
        row = self._db.row("SELECT rules, upto, (SELECT max(id) FROM albums) FROM search_index")
        upto = row[1] if row and row[0] == RULES else 0
        return upto, bool(row and row[2] and row[2] > upto)

    def _unindexed(self, question: Question, upto: int) -> list[int]:
        """Return records that are not in the index yet and have all words in artist or title."""
        words = [key for word in question.words if (key := storable(sort_key(word)).removeprefix("#"))] or [question.key]
        both = " AND ".join("replace(artist_sort || ' ' || title_sort, ?, '') <> artist_sort || ' ' || title_sort" for _ in words)
        return self._ids(f"SELECT {json_list('id')} FROM albums WHERE id > {int(upto)} AND {both}", *words)


def _rank(hits: SearchHits) -> tuple[int, int]:
    """Return the key by which the better of two corrections comes first."""
    return min(hits.tiers.values()), -len(hits.tiers)
