"""Random that pleases: what was not played for long comes up more often, and why a record came up can be said in half a line."""

import datetime
import itertools
import random
from collections.abc import Callable, Mapping, Sequence

from image_cache.models import Album
from image_cache.records.catalog_spins import PlayHistory

DAY_S = 86400.0
NEVER = 1.0  # the weight of a record that was never played,
JUST_NOW = 0.05  # of one that was played a moment ago,
RESTED = 0.8  # and of one that was not played for a year
REST_S = 365 * DAY_S
UNKNOWN_S = REST_S / 2  # played, and nobody knows when
NEW_S = 7 * DAY_S
AT_A_TIME = 24  # records looked at in one go
MOST_TRIES = 30
FEW = 500  # so few are looked through instead of being tried by chance
MONTHS = tuple(datetime.date(2000, month, 1).strftime("%B") for month in range(1, 13))


def weight(heard: PlayHistory, now: float) -> float:
    """Return how likely a record is to come up, against 1 for one that was never played."""
    if heard.last_played_at is None and not heard.plays:
        return NEVER
    idle_s = UNKNOWN_S if heard.last_played_at is None else max(0.0, now - heard.last_played_at)
    return JUST_NOW + (RESTED - JUST_NOW) * min(1.0, idle_s / REST_S)


def pick(
    ids: Sequence[int],
    barred: set[int],
    heard: Callable[[Sequence[int]], Mapping[int, PlayHistory]],
    now: float,
    rng: random.Random,
) -> int:
    """Return one of `ids` that is not `barred` (one at least is not), by weight.

    By chance and rejection, so that 100,000 records cost no more than a hundred: draw evenly, keep a record with the likelihood
    of its weight. The result is exactly by weight.
    """
    if len(ids) <= FEW or 2 * len(barred) > len(ids):
        ids = list(itertools.filterfalse(barred.__contains__, ids))
    drawn: list[int] = []
    known: Mapping[int, PlayHistory] = {}
    for _ in range(MOST_TRIES):
        drawn = [one for one in rng.choices(ids, k=AT_A_TIME) if one not in barred] or drawn
        known = heard(tuple(dict.fromkeys(drawn)))
        for one in drawn:
            if one in known and rng.random() * NEVER < weight(known[one], now):
                return one
    # All of it was played lately: the least lately of what was looked at last. One that was deleted meanwhile weighs nothing.
    return max(drawn, key=lambda one: weight(known[one], now) if one in known else 0.0)


def why(album: Album | PlayHistory, now: float) -> str:
    """Say in half a line what speaks for a record: "never played", "not played since May 2024", "came in last week"."""
    if album.last_played_at is not None:
        return _since(album.last_played_at, now)
    if album.plays:
        return "not played since it came in"
    age_s = now - album.added_at
    if 0 <= age_s < 2 * NEW_S:
        return "came in this week" if age_s < NEW_S else "came in last week"
    return "never played"


def _since(at: float, now: float) -> str:
    then, today = (datetime.datetime.fromtimestamp(one).astimezone() for one in (at, now))
    days = (today.date() - then.date()).days
    if days < 1:
        return "played today already, and up again by chance"
    if days < 60:
        return f"last played {'yesterday' if days == 1 else f'{days} days ago'}"
    year = "" if then.year == today.year else f" {then.year}"
    return f"not played since {MONTHS[then.month - 1]}{year}"
