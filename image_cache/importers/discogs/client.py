"""Discogs over its API: identity, a page of the collection, a release. One pace for all calls, errors in words for the collector.

The token is a header of `JsonApiClient` and goes to the API alone. Source: the developer pages of Discogs (limits, paging, media type).
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from image_cache.errors import CacheError, OriginError, OriginNotFound, OriginUnavailable, SourceRefused, StorageError
from image_cache.filesystem import make_folder, replacing
from image_cache.importers.discogs.parse import CollectionPage, Details, details_from, fields_from, page_from
from image_cache.net.json_api import JsonApiClient
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.net.rate_limit import RateLimiter

_SHAPE = re.compile(r"[A-Za-z0-9_-]{20,128}")
_MOST_BYTES = 1000


def looks_like_token(text: str) -> bool:
    """Tell whether the text could be a token at all: letters and digits, so nothing that would end a header."""
    return _SHAPE.fullmatch(text) is not None


class TokenFile:
    """A token at a path. Any thread, several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.is_file()

    def read(self) -> str | None:
        """Return the token, None when there is none. Raises `StorageError`."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be read") from error
        try:
            text = os.read(fd, _MOST_BYTES).decode("ascii", errors="replace").strip()
        finally:
            os.close(fd)
        return text if looks_like_token(text) else None

    def write(self, token: str) -> None:
        """Keep the token, whole or not at all. Raises `StorageError`, and `ValueError` for what is no token."""
        if not looks_like_token(token):
            raise ValueError("not a token")
        try:
            make_folder(self.path.parent)
            with replacing(self.path, is_durable=True) as file:
                file.write(token.encode("ascii"))
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be written") from error

    def take(self, other: "TokenFile") -> bool:
        """Put the token of another file in the place of this one; False when it has none."""
        try:
            other.path.replace(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be written") from error
        return True

    def forget(self) -> bool:
        """Delete the token; tell whether there was one. Raises `StorageError`."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be deleted") from error
        return True


NAME = "discogs"
PER_PAGE = 100  # the most that it gives; it cuts a larger wish down silently
ACCEPT = "application/vnd.discogs.v2.discogs+json"
BUSY_TRIES = 20  # pauses in a row that are honoured before it counts as trouble
AWAY, REFUSED, TROUBLE = "away", "refused", "trouble"

UNKNOWN_TOKEN = "Discogs does not know this token. It is 40 letters, from Settings, Developers."  # noqa: S105  a sentence
PRIVATE = "Discogs does not show this collection: it is private. Use a token of its owner, or allow others to browse it in Settings, Privacy."
NO_ACCOUNT = "Discogs has no collection under this name any more. Test the token again."
NO_PROGRAM = "Discogs refuses to talk to this program. A contact in VINYL_VAULT_CONTACT may help."


class DiscogsClient:
    """Asks Discogs on behalf of one token. For one thread at a time.

    `wait` is called with the seconds that a call has to wait, and may raise to give up. `spare` calls of each window are left to
    others of this program that are in more of a hurry.
    """

    def __init__(
        self,
        fetcher: LazyHttpClient,
        base_url: str,
        token: str,
        pace: RateLimiter,
        wait: Callable[[float], None],
        *,
        spare: int = 0,
    ) -> None:
        self._api = JsonApiClient(fetcher, base_url, {"Authorization": f"Discogs token={token}", "Accept": ACCEPT})
        self._pace = pace
        self._wait = wait
        self._spare = spare

    def identity(self) -> str:
        """Return the name of the account that the token belongs to. All methods raise `SourceRefused` or `OriginError`."""
        data = self._ask("oauth", "identity")
        name = data.get("username") if isinstance(data, dict) else None
        if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
            raise _not_understood("an identity")
        return name

    def fields(self, account: str) -> dict[str, str]:
        """Return what the fields of notes are called; see `fields_from`."""
        return fields_from(self._ask("users", account, "collection", "fields"))

    def page(self, account: str, number: int, fields: Mapping[str, str], *, per_page: int = PER_PAGE) -> CollectionPage | None:
        """Return a page of the collection, the oldest records first; None when it has no such page.

        What comes in while the pages are read stands at their end this way, and moves none that is still to come.
        """
        query: dict[str, str | int] = {"page": number, "per_page": per_page, "sort": "added", "sort_order": "asc"}
        try:
            data = self._ask("users", account, "collection", "folders", "0", "releases", **query)
        except OriginNotFound:
            if number > 1:
                return None
            raise SourceRefused("account", NO_ACCOUNT) from None
        found = page_from(number, data, fields)
        if found is None:
            raise _not_understood("a page of a collection")
        return found

    def release(self, release_id: str) -> Details:
        """Return what a release tells beyond the listing. Raises `OriginNotFound` too."""
        found = details_from(self._ask("releases", release_id))
        if found is None:
            raise _not_understood("a release")
        return found

    def _ask(self, *path: str, **query: str | int) -> Any:
        for _ in range(BUSY_TRIES):
            while (seconds := self._pace.acquire(self._spare)) > 0:
                self._wait(seconds)
            try:
                answer = self._api.get(*path, headers=None, **query)
            except OriginError as error:
                if error.status == 429:
                    self._pace.pause(error.retry_after_s or self._pace.window_s)
                    continue
                problem = _refusal(path, error)
                self._note(problem, error)
                raise problem from error
            self._pace.update_from_headers(answer.headers)
            return answer.data
        raise OriginUnavailable("discogs", "asks for pause after pause", status=429)

    def _note(self, problem: CacheError, error: OriginError) -> None:
        if isinstance(error, OriginNotFound):
            return
        if isinstance(problem, SourceRefused):
            self._pace.failed(REFUSED, problem.reason)
        elif isinstance(error, OriginUnavailable) and error.status is None:
            self._wait(0.0)  # raises when the program stops: a line that was cut for that says nothing about Discogs
            self._pace.failed(AWAY, "Discogs cannot be reached.")
        else:
            self._pace.failed(TROUBLE, f"Discogs does not answer as it should: {error.reason}.")


def _refusal(path: tuple[str, ...], error: OriginError) -> CacheError:
    if error.status == 401:
        return SourceRefused("token", UNKNOWN_TOKEN)
    if error.status == 403:
        return SourceRefused("private", PRIVATE) if "collection" in path else SourceRefused("program", NO_PROGRAM)
    return error


def _not_understood(what: str) -> OriginUnavailable:
    return OriginUnavailable("discogs", f"answered something that is not {what}", status=200, kind="broken")
