"""When the records of the demo were played: evenings and weekends of the last year and a half, the same at every start."""

import datetime
from random import Random

DAYS = 540
HOURS = (9, 11, 14, 16, 17, 18, 19, 20, 21, 22, 23)
WEIGHTS = (1, 2, 2, 3, 4, 6, 9, 12, 11, 8, 3)


def play_dates(name: str, plays: int, until: float) -> list[float]:
    """Return so many moments before `until`, in Unix seconds and in order, for the record of this name."""
    rng = Random(f"plays of {name}")
    last = datetime.datetime.fromtimestamp(until).astimezone()
    found = []
    for _ in range(plays):
        day = last - datetime.timedelta(days=1 + int(rng.betavariate(1, 1.6) * DAYS))
        if day.weekday() < 4 and rng.random() < 0.4:  # more often from Friday to Sunday
            day += datetime.timedelta(days=4 - day.weekday())
        moment = day.replace(hour=rng.choices(HOURS, WEIGHTS)[0], minute=rng.randrange(60), second=rng.randrange(60))
        found.append(min(moment.timestamp(), until))
    return sorted(found)
