"""The few forms for which SQLite and PostgreSQL have no words in common.

Every other statement about the catalogue and the image registry is written so that both understand it. A form stands here in
SQLite's words, once, so that a database with other words can replace exactly this text.
"""

# The members of a list, which is one parameter: its JSON text. For lists that may be too long for an IN list, or empty.
NUMBERS = "SELECT value FROM json_each(?)"
TEXTS = "SELECT atom FROM json_each(?)"
# The playing time of a record in seconds; NULL if a track has none.
PLAYING_TIME_S = (
    "(SELECT CASE WHEN count(*) = count(json_extract(value, '$[2]')) THEN sum(json_extract(value, '$[2]')) END"
    " FROM json_each(tracks))"
)


def json_list(column: str) -> str:
    """Return the aggregate that gives the values of a group as a JSON array: half the cost of as many rows."""
    return f"json_group_array({column})"


def joined_ids(column: str, chars: int) -> str:
    """Return the aggregate that gives the ids of a group joined by commas, cut off after so many characters."""
    return f"substr(group_concat({column}), 1, {chars})"


def by_index(name: str) -> str:
    """Return the hint, after the name of a table, to use this index: SQLite's planner knows too little to find it."""
    return f" INDEXED BY {name}"


_FOLDED = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def lowered(text: str) -> str:
    """Return a text as `lower()` of a column gives it: only the letters of ASCII change, whatever the language of the server."""
    return text.translate(_FOLDED)
