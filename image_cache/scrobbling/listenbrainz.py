"""Client of ListenBrainz, and of servers that speak its API. Sending the same listen twice does no harm: the server knows it.

Source: the API documentation of ListenBrainz (submit-listens, validate-token, rate limits).
"""

import json
from collections.abc import Sequence
from typing import Any

from image_cache import __version__
from image_cache.errors import OriginUnavailable, SourceRefused
from image_cache.net.json_api import ApiResponse, JsonApiClient
from image_cache.net.json_values import as_object, line
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.scrobbling.outcome import BatchRefused, Outcome
from image_cache.scrobbling.table import Scrobble
from image_cache.scrobbling.tracks import HeardTrack

RESET_IN = "X-RateLimit-Reset-In"  # seconds; there is no Retry-After
MAX_RESET_S = 3600.0
UNKNOWN_TOKEN = "ListenBrainz does not accept this token. Copy the token from your ListenBrainz settings."  # noqa: S105  a sentence


class ListenBrainzClient:
    """Any thread. See `ScrobbleClient`."""

    title = "ListenBrainz"
    batch = 100  # the server takes 1000

    def __init__(self, fetcher: LazyHttpClient, base_url: str) -> None:
        self._fetcher = fetcher
        self._base_url = base_url

    def verify(self, token: str) -> tuple[str, str]:
        answer = self._api(token).exchange("1", "validate-token")
        self._check(answer)
        found = as_object(answer.data)
        if found.get("valid") is not True:
            raise SourceRefused("token", UNKNOWN_TOKEN)
        return line(found.get("user_name"), 100), token

    def submit(self, token: str, scrobbles: Sequence[Scrobble]) -> Outcome:
        kind = "single" if len(scrobbles) == 1 else "import"
        body = json.dumps({"listen_type": kind, "payload": [_listen(one.track) for one in scrobbles]}, ensure_ascii=False)
        answer = self._api(token).exchange("1", "submit-listens", body=body.encode(), content_type="application/json")
        self._check(answer)
        return Outcome(sent=[one.id for one in scrobbles])

    def arrived(self, token: str, scrobbles: Sequence[Scrobble]) -> list[int]:
        return []

    def _api(self, token: str) -> JsonApiClient:
        return JsonApiClient(self._fetcher, self._base_url, {"Authorization": f"Token {token}"})

    def _check(self, answer: ApiResponse) -> None:
        if answer.status == 200 and isinstance(answer.data, dict):
            return
        reason = line(as_object(answer.data).get("error"), 200)
        if answer.status in (401, 403):
            raise SourceRefused("token", f"{UNKNOWN_TOKEN} It said: {reason}" if reason else UNKNOWN_TOKEN)
        if answer.status == 400:
            raise BatchRefused(f"ListenBrainz refused it: {reason or 'no reason given'}")
        wait_s = _reset_in_s(answer) if answer.status == 429 else None
        raise OriginUnavailable(self.title, f"HTTP {answer.status}", status=answer.status, retry_after_s=wait_s)


def _reset_in_s(answer: ApiResponse) -> float | None:
    text = answer.headers.get(RESET_IN, "").strip()
    return min(float(text), MAX_RESET_S) if text.isascii() and text.isdigit() else None


def _listen(track: HeardTrack) -> dict[str, Any]:
    more: dict[str, Any] = {
        "media_player": "VinylVault",
        "submission_client": "VinylVault",
        "submission_client_version": __version__,
    }
    if track.position:
        more["tracknumber"] = track.position
    if track.duration_s:
        more["duration"] = track.duration_s
    if track.label:
        more["label"] = track.label
    told = {"artist_name": track.artist, "track_name": track.title, "additional_info": more}
    if track.release:
        told["release_name"] = track.release
    return {"listened_at": track.listened_at, "track_metadata": told}
