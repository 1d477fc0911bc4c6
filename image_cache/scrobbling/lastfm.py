"""Client of Last.fm: signed calls, batches of 50, answers whose body alone says what happened.

Source: the API pages of Last.fm (track.scrobble, auth.getSession, error codes). Their HTTP status is not reliable.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from image_cache.errors import OriginUnavailable, SourceRefused
from image_cache.net.json_api import JsonApiClient
from image_cache.net.json_values import as_object, line, objects
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.scrobbling.outcome import HOUR_S, BatchRefused, Outcome
from image_cache.scrobbling.table import Scrobble

SHORTEST_S = 30  # a track must be longer
MINUTE_S = 60.0
LATER = frozenset({8, 11, 16, 29})  # failed, offline, unavailable, rate limit
STOPPED = {
    4: "Last.fm did not accept the connection. Connect it again.",
    9: "Last.fm has ended the connection. Connect it again.",
    10: "Last.fm does not accept the API key of this server. Ask your operator to check the setting.",
    13: "Last.fm does not accept the signature of this server. Ask your operator to check the API secret.",
    14: "The connection was not allowed at Last.fm. Connect it again.",
    15: "The connection took too long. Connect it again.",
    26: "Last.fm has suspended the API key of this server. Ask your operator to check it.",
}
IGNORED = {
    1: "Last.fm does not count this artist.",
    2: "Last.fm does not count this track.",
    3: "Last.fm takes only recent plays. This one is too old.",
    4: "Last.fm says that this play is in the future. Check the clock of the server.",
}
DAILY_LIMIT = 5


class LastfmClient:
    """Any thread. See `ScrobbleClient`. `secret` signs every call and is never sent."""

    title = "Last.fm"
    batch = 50  # the most that the service takes

    def __init__(self, fetcher: LazyHttpClient, url: str, key: str, secret: str) -> None:
        self._api = JsonApiClient(fetcher, url, {})
        self._key = key
        self._secret = secret

    def verify(self, token: str) -> tuple[str, str]:
        """Exchange the token that a user allowed for a session, which is kept."""
        session = as_object(self._call("auth.getSession", token=token).get("session"))
        name, key = line(session.get("name"), 100), line(session.get("key"), 128)
        if not name or not key:
            raise OriginUnavailable(self.title, "the response is not a session", status=200, kind="malformed")
        return name, key

    def submit(self, token: str, scrobbles: Sequence[Scrobble]) -> Outcome:
        refused = {one.id: TOO_SHORT for one in scrobbles if one.track.duration_s and one.track.duration_s <= SHORTEST_S}
        batch = [one for one in scrobbles if one.id not in refused]
        if not batch:
            return Outcome(refused=refused)
        told: dict[str, str] = {}
        for index, one in enumerate(batch):
            track = one.track
            values = {"artist": track.artist, "track": track.title, "timestamp": str(track.listened_at), "album": track.release}
            values |= {"duration": str(track.duration_s or ""), "chosenByUser": "1"}
            told |= {f"{name}[{index}]": value for name, value in values.items() if value}
        answer = self._call("track.scrobble", sk=token, **told)
        rows = as_object(answer.get("scrobbles")).get("scrobble")
        found = objects(rows if isinstance(rows, list) else [rows], len(batch))  # one is no list
        if len(found) != len(batch):
            raise OriginUnavailable(self.title, "the response is not a list of scrobbles", status=200, kind="malformed")
        sent, later = [], []
        for one, row in zip(batch, found, strict=True):
            code = _code(as_object(row.get("ignoredMessage")).get("code", "0"))
            if code == 0:
                sent.append(one.id)
            elif code == DAILY_LIMIT:
                later.append(one.id)
            else:
                refused[one.id] = IGNORED.get(code, f"Last.fm does not count this track (code {code}).")
        return Outcome(sent, refused, later, HOUR_S, "Your daily limit at Last.fm is reached." if later else "")

    def arrived(self, token: str, scrobbles: Sequence[Scrobble]) -> list[int]:
        """Look up which of them Last.fm has: it is not known to merge a track that is sent twice."""
        name = as_object(self._call("user.getInfo", sk=token).get("user")).get("name")
        times = [one.track.listened_at for one in scrobbles]
        span = {"from": str(min(times) - 1), "to": str(max(times) + 1), "limit": "200"}
        recent = as_object(self._call("user.getRecentTracks", sk=token, user=line(name, 100), **span).get("recenttracks"))
        rows = recent.get("track")
        played = objects(rows if isinstance(rows, list) else [rows], 200)
        known = {_code(as_object(row.get("date")).get("uts")) for row in played}
        return [one.id for one in scrobbles if one.track.listened_at in known]

    def _call(self, method: str, **values: str) -> Mapping[str, Any]:
        told = {"method": method, "api_key": self._key, **values}
        told |= {"api_sig": signature(told, self._secret), "format": "json"}
        answer = self._api.exchange("", body=urlencode(told).encode(), content_type="application/x-www-form-urlencoded")
        found = as_object(answer.data)
        code = _code(found.get("error", 0))
        if answer.data is None or (not found and not code) or (answer.status != 200 and not code):
            raise OriginUnavailable(self.title, f"HTTP {answer.status} without an answer", status=answer.status)
        if code in LATER:
            # After 16 the batch may have been taken all the same; a rate limit refuses before that.
            wait_s, status = (MINUTE_S, 429) if code == 29 else (MINUTE_S, 503)
            raise OriginUnavailable(self.title, f"error {code}", status=status, retry_after_s=wait_s)
        if code in STOPPED:
            raise SourceRefused("token", STOPPED[code])
        if code:
            raise BatchRefused(f"Last.fm refused it: {line(found.get('message'), 200) or 'no reason given'} (error {code})")
        return found


TOO_SHORT = "Last.fm counts only tracks of more than 30 seconds."


def signature(values: Mapping[str, str], secret: str) -> str:
    """Return the `api_sig` of a call: names and values in the order of the names' bytes, then the secret, as MD5."""
    text = "".join(f"{name}{values[name]}" for name in sorted(values)) + secret
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _code(value: Any) -> int:
    """Return a number that Last.fm sends as a number or as text; -1 for anything else."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
