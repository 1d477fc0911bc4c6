"""Moods of a random pick in addresses and in words, and the page that chooses one. The last ones are kept by the browser."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, render_template, request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from image_cache.records.playing.moods import ANY, NEVER, SpinMood
from image_cache.units import whole_number
from image_cache.web.access import Role, declare_access
from image_cache.web.context import services
from image_cache.web.forwarded import url_prefix
from image_cache.web.responses import page_response

MAX_CHARS = 200
MAX_MINUTES, MAX_DAYS = 999, 9999
COOKIE = "moods"
KEPT = 5
KEPT_S = 365 * 86400
MINUTES = (20, 30, 40, 50, 80)
IDLE = {"30": "not played for a month", "90": "not played for 3 months", "365": "not played for a year", NEVER: "never played"}

moods = declare_access(read=Role.VISITOR)(Blueprint("moods", __name__))


@moods.get("/spin")
def page() -> AnyResponse:
    """Show what a pick can be limited to, with how many records that leaves, and the last moods."""
    mood = read_mood(request.args)
    facets = services().library.facets()
    values = {
        "mood": mood,
        "left": services().library.count_mood(mood),
        "genres": [(value, value) for value, _ in facets.genres],
        "decades": [(decade, f"{decade}s") for decade, _ in facets.decades],
        "formats": [(value, value) for value, _ in facets.formats],
        "minutes": [(one, f"at most {one} min") for one in sorted({*MINUTES, *([mood.minutes] if mood.minutes else [])})],
        "idle": IDLE | ({mood.idle: idle_words(mood.idle)} if mood.idle else {}),
        "kept": [(mood_words(one), spin_path(one)) for one in kept_moods()],
    }
    return page_response(render_template("records/spin.html", **values))


def read_mood(args: Mapping[str, str]) -> SpinMood:
    """Parse the mood of an address. Raises `BadRequest` with a sentence that names the invalid value."""
    decade, minutes, idle = (args.get(name, "").strip()[:MAX_CHARS] for name in ("decade", "minutes", "idle"))
    if decade and not (decade.isascii() and decade.isdigit() and len(decade) == 4):
        raise BadRequest("The decade must be a year such as 1970.")
    length = whole_number(minutes, 1, MAX_MINUTES) if minutes else None
    if minutes and length is None:
        raise BadRequest(f"minutes must be a number from 1 to {MAX_MINUTES}, not “{minutes[:40]}”.")
    if idle and idle != NEVER and whole_number(idle, 1, MAX_DAYS) is None:
        raise BadRequest(f"idle must be {NEVER}, or days from 1 to {MAX_DAYS}, not “{idle[:40]}”.")
    return SpinMood(
        genre=args.get("genre", "")[:MAX_CHARS],
        decade=int(decade) // 10 * 10 if decade else None,
        format=args.get("format", "")[:MAX_CHARS],
        minutes=length,
        idle=idle,
    )


def mood_query(mood: SpinMood) -> dict[str, str]:
    """Return a mood as it stands in an address."""
    values: dict[str, Any] = {name: getattr(mood, name) for name in ("genre", "decade", "format", "minutes", "idle")}
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def spin_path(mood: SpinMood) -> str:
    query = mood_query(mood)
    return "/random" + (f"?{urlencode(query)}" if query else "")


def mood_words(mood: SpinMood) -> str:
    """Return a mood in words: "Jazz of the 1960s, LP, at most 40 min, never played"; "" for any record."""
    decade = f"{mood.decade}s" if mood.decade is not None else ""
    limits = [" of the ".join(filter(None, (mood.genre, decade))), mood.format]
    limits += [f"at most {mood.minutes} min"] if mood.minutes else []
    limits += [idle_words(mood.idle)] if mood.idle else []
    return ", ".join(filter(None, limits))


def idle_words(idle: str) -> str:
    return IDLE.get(idle, f"not played for {idle} {'day' if idle == '1' else 'days'}")


def reason_sentence(mood: SpinMood, reason: str) -> str:
    """Return why a record was picked, as a sentence: "Jazz, never played."."""
    words = mood_words(SpinMood(mood.genre, mood.decade, mood.format, mood.minutes))  # the reason says when it was played
    text = f"{words}, {reason}" if words else reason
    return f"{text[:1].upper()}{text[1:]}."


def kept_moods() -> list[SpinMood]:
    """Return the last moods that this browser has, the latest first; what is invalid is left out."""
    found = []
    for query in request.cookies.get(COOKIE, "")[:4000].split("|")[:KEPT]:
        try:
            mood = read_mood(dict(parse_qsl(query)))
        except BadRequest:
            continue
        found += [mood] if mood != ANY else []
    return found


def keep_mood(answer: AnyResponse, mood: SpinMood) -> None:
    """Let the browser keep a mood."""
    if mood == ANY:
        return
    kept = list(dict.fromkeys((mood, *kept_moods())))[:KEPT]
    value = "|".join(urlencode(mood_query(one)) for one in kept)
    answer.set_cookie(COOKIE, value, max_age=KEPT_S, httponly=True, samesite="Lax", path=url_prefix() or "/")
