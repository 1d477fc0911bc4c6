"""Discogs API client: identity, a page of the collection, a release. All calls share one rate limit; errors are written for collectors.

The token is a header of `JsonApiClient` and is sent to the API only. Source: the developer pages of Discogs (limits, paging, media type).
"""

from collections.abc import Callable, Mapping
from typing import Any

from image_cache.errors import CacheError, OriginError, OriginNotFound, OriginUnavailable, SourceRefused
from image_cache.importers.discogs.parse import (
    SOURCE,
    CollectionPage,
    Details,
    details_from,
    fields_from,
    page_from,
)
from image_cache.importers.discogs.parse_search import FoundRelease, releases_from
from image_cache.importers.discogs.parse_values import lowest_from, suggestions_from
from image_cache.importers.discogs.parse_wants import WantsPage, wants_from
from image_cache.net.json_api import JsonApiClient
from image_cache.net.json_values import MALFORMED
from image_cache.net.lazy_client import LazyHttpClient
from image_cache.net.rate_limit import RateLimiter

MAX_FOUND = 10  # releases of a search that are offered
PER_PAGE = 100  # the maximum; a larger value is lowered silently
ACCEPT = "application/vnd.discogs.v2.discogs+json"
BUSY_TRIES = 20  # consecutive 429 responses that are waited out before they count as a failure
AWAY, REFUSED, TROUBLE = "away", "refused", "trouble"

UNKNOWN_TOKEN = "Discogs does not accept this token. Create a new one in Discogs under Settings, Developers."  # noqa: S105  a sentence
PRIVATE = "This Discogs collection is private. Use the token of its owner, or make the collection public in Discogs under Settings, Privacy."
NO_ACCOUNT = "Discogs no longer has a collection for this user. Test the token again."
NO_PROGRAM = "Discogs is blocking VinylVault. Setting VINYL_VAULT_CONTACT may help."


class DiscogsClient:
    """Calls Discogs with one token. For one thread at a time.

    `wait` is called with the seconds that a call has to wait, and may raise to give up. `spare` calls of each window are left to
    more urgent tasks.
    """

    def __init__(
        self,
        fetcher: LazyHttpClient,
        base_url: str,
        token: str,
        rate_limit: RateLimiter,
        wait: Callable[[float], None],
        *,
        spare: int = 0,
    ) -> None:
        self._api = JsonApiClient(fetcher, base_url, {"Authorization": f"Discogs token={token}", "Accept": ACCEPT})
        self._rate_limit = rate_limit
        self._wait = wait
        self._spare = spare

    def identity(self) -> str:
        """Return the account that the token belongs to. All methods raise `SourceRefused` or `OriginError`."""
        data = self._get("oauth", "identity")
        name = data.get("username") if isinstance(data, dict) else None
        if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
            raise _unexpected("an identity")
        return name

    def fields(self, account: str) -> dict[str, str]:
        """Return the names of the notes fields; see `fields_from`."""
        return fields_from(self._get("users", account, "collection", "fields"))

    def page(self, account: str, number: int, fields: Mapping[str, str], *, per_page: int = PER_PAGE) -> CollectionPage | None:
        """Return a page of the collection, the oldest records first; None if it has no such page.

        In this order, records that are added while the pages are read go to the end and move no page that is still to be read.
        """
        query: dict[str, str | int] = {"page": number, "per_page": per_page, "sort": "added", "sort_order": "asc"}
        try:
            data = self._get("users", account, "collection", "folders", "0", "releases", **query)
        except OriginNotFound:
            if number > 1:
                return None
            raise SourceRefused("account", NO_ACCOUNT) from None
        found = page_from(number, data, fields)
        if found is None:
            raise _unexpected("a page of a collection")
        return found

    def wants(self, account: str, number: int) -> WantsPage | None:
        """Return a page of the wantlist; None if it has no such page. A failure says nothing about the collection."""
        try:
            data = self._request(("users", account, "wants"), {"page": number, "per_page": PER_PAGE}, is_vital=False)
        except OriginNotFound:
            if number > 1:
                return None
            raise
        found = wants_from(number, data)
        if found is None:
            raise _unexpected("a page of a wantlist")
        return found

    def suggestions(self, release_id: str) -> dict[str, str]:
        """Return the suggested prices of a release by grade. A failure says nothing about the collection."""
        found = suggestions_from(self._request(("marketplace", "price_suggestions", release_id), {}, is_vital=False))
        if found is None:
            raise _unexpected("a list of prices")
        return found

    def lowest_price(self, release_id: str, currency: str) -> str:
        """Return the lowest price at which a release is offered, "" if it is not for sale. Also raises `OriginNotFound`."""
        found = lowest_from(self._get("marketplace", "stats", release_id, curr_abbr=currency))
        if found is None:
            raise _unexpected("a price")
        return found

    def release(self, release_id: str) -> Details:
        """Return the details of a release that the collection does not list. Also raises `OriginNotFound`."""
        found = details_from(self._get("releases", release_id))
        if found is None:
            raise _unexpected("a release")
        return found

    def search(self, **query: str) -> list[FoundRelease]:
        """Return the first releases that match: barcode, catno, or q for anything."""
        found = releases_from(self._get("database", "search", type="release", per_page=MAX_FOUND, **query))
        if found is None:
            raise _unexpected("a list of releases")
        return found

    def _get(self, *path: str, **query: str | int) -> Any:
        return self._request(path, query, is_vital=True)

    def _request(self, path: tuple[str, ...], query: Mapping[str, str | int], *, is_vital: bool) -> Any:
        """Request a path. A failure of one that is not vital is not remembered as that of the service."""
        for _ in range(BUSY_TRIES):
            while (seconds := self._rate_limit.acquire(self._spare)) > 0:
                self._wait(seconds)
            try:
                response = self._api.get(*path, headers=None, **query)
            except OriginError as error:
                if error.status == 429:
                    self._rate_limit.pause(error.retry_after_s or self._rate_limit.window_s)
                    continue
                if not is_vital:
                    raise
                problem = _refusal(path, error)
                self._record_failure(problem, error)
                raise problem from error
            self._rate_limit.update_from_headers(response.headers)
            return response.data
        raise OriginUnavailable(SOURCE, "keeps rate limiting our requests", status=429)

    def _record_failure(self, problem: CacheError, error: OriginError) -> None:
        if isinstance(error, OriginNotFound):
            return
        if isinstance(problem, SourceRefused):
            self._rate_limit.record_failure(REFUSED, problem.reason)
        elif isinstance(error, OriginUnavailable) and error.status is None:
            # Raises if the service is stopping: a connection that was aborted for that says nothing about Discogs.
            self._wait(0.0)
            self._rate_limit.record_failure(AWAY, "Could not reach Discogs.")
        else:
            self._rate_limit.record_failure(TROUBLE, f"Discogs sent an unexpected response: {error.reason}.")


def _refusal(path: tuple[str, ...], error: OriginError) -> CacheError:
    if error.status == 401:
        return SourceRefused("token", UNKNOWN_TOKEN)
    if error.status == 403:
        return SourceRefused("private", PRIVATE) if "collection" in path else SourceRefused("program", NO_PROGRAM)
    return error


def _unexpected(what: str) -> OriginUnavailable:
    return OriginUnavailable(SOURCE, f"the response is not {what}", status=200, kind=MALFORMED, is_host_fault=False)
