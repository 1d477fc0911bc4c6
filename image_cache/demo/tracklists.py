"""Tracklists for the invented records: titles drawn from `tracks.txt` by the mood of the artist, durations by the age and kind."""

import random
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from image_cache.demo.record import DemoRecord

HERE = Path(__file__).resolve().parent


class Mood(NamedTuple):
    whole: tuple[str, ...]
    heads: tuple[str, ...]
    tails: tuple[str, ...]


def tracklist(entry: DemoRecord, rng: random.Random, told: set[str]) -> list[dict[str, str]]:
    """Return position, title and duration of each track. `told` are the titles the artist has used; new ones are added."""
    if " b/w " in entry.title:
        a_side, b_side = entry.title.split(" b/w ")
        return [_track("A", a_side, rng, 150, 200), _track("B", b_side, rng, 140, 210)]
    if entry.format == "12":
        name = entry.title
        return [
            _track("A", name, rng, 340, 470),
            _track("B1", f"{name} ({'Version' if entry.mood == 'dub' else 'Instrumental'})", rng, 300, 400),
            _track("B2", _names(entry, 1, rng, told)[0], rng, 230, 350),
        ]
    count = 12 if entry.format == "2LP" else rng.randint(7, 11)
    # An early or a classical record has few long pieces; the sides of a double are four.
    low, high = (250, 460) if entry.mood in {"movements", "haze"} else (140, 290) if entry.year < 1966 else (165, 355)
    if low == 250:
        count = min(count, 8)
    places = _positions(entry.format, count)
    names = _names(entry, len(places), rng, told)
    # Most records name themselves after one of their pieces.
    if entry.mood != "movements" and rng.random() < 0.55:
        names[rng.choice((0, 0, 1, len(names) // 2))] = entry.title
    return [_track(place, name, rng, low, high) for place, name in zip(places, names, strict=True)]


def _positions(form: str, count: int) -> list[str]:
    if form == "CD":
        return [str(n + 1) for n in range(count)]
    sides = "ABCD" if form == "2LP" else "AB"
    per_side, over = divmod(count, len(sides))
    return [f"{side}{n + 1}" for i, side in enumerate(sides) for n in range(per_side + (i < over))]


def _names(entry: DemoRecord, count: int, rng: random.Random, told: set[str]) -> list[str]:
    """Return titles this artist has not used yet, no beginning twice on one record. A classical side opens with four movements."""
    mood = _moods()[entry.mood]
    heads = rng.sample(mood.heads, len(mood.heads))
    names: list[str] = []
    if entry.mood == "movements":
        names = [rng.choice([name for name in mood.whole if name.startswith(f"{n}. ")]) for n in ("I", "II", "III", "IV")]
    while len(names) < count:
        name = f"{heads[-1]} {rng.choice(mood.tails)}" if heads and rng.random() < 0.34 else rng.choice(mood.whole)
        if name in told or (entry.mood == "movements" and ". " in name):
            continue
        if heads and name.startswith(f"{heads[-1]} "):
            heads.pop()
        told.add(name)
        names.append(name)
    return names


def _track(position: str, title: str, rng: random.Random, low: int, high: int) -> dict[str, str]:
    minutes, seconds = divmod(rng.randint(low, high), 60)
    return {"position": position, "title": title, "duration": f"{minutes}:{seconds:02d}"}


@lru_cache(maxsize=1)
def _moods() -> dict[str, Mood]:
    lists: dict[str, tuple[list[str], list[str], list[str]]] = {}
    current: tuple[list[str], list[str], list[str]] = ([], [], [])
    for line in (HERE / "tracks.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            current = lists.setdefault(line[2:], ([], [], []))
        elif line.startswith("+"):
            current[1].append(line[1:])
        elif line.startswith("-"):
            current[2].append(line[1:])
        elif line and not line.startswith("#"):
            current[0].append(line)
    return {name: Mood(tuple(whole), tuple(heads), tuple(tails)) for name, (whole, heads, tails) in lists.items()}
