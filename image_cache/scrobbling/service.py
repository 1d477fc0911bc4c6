"""Scrobbling for pages and the background: connections of accounts, and the task that empties their queues.

A track is removed from the queue once the service has it. The network may be away for days: nothing is lost and nothing is sent twice,
as far as the services let that be known. What a service refuses is set aside with its reason, and sent again only on request.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.db.database import DatabaseError
from image_cache.errors import ConfigError, FieldRejected, OriginError, OriginUnavailable, SourceRefused
from image_cache.frozen import frozen
from image_cache.net.backoff import retry_delay_s
from image_cache.net.lazy_client import LazyHttpClient, make_fetcher
from image_cache.net.token_file import TokenFile, looks_like_token
from image_cache.records.library import Library
from image_cache.scrobbling.listenbrainz import ListenBrainzClient
from image_cache.scrobbling.outcome import BatchRefused, Outcome, ScrobbleClient, is_unsent
from image_cache.scrobbling.table import Scrobble, Scrobbler, ScrobbleTable
from image_cache.scrobbling.tracks import heard_tracks
from image_cache.tasks.runner import Task, TaskRunner

logger = logging.getLogger(__name__)

SCROBBLE = "scrobble"  # the kind of the task
LISTENBRAINZ, LASTFM = "listenbrainz", "lastfm"
SIDES_AT_A_TIME = 50
READ_TIMEOUT_S = 20.0
SECRET_FILE = "VINYL_VAULT_LASTFM_SECRET_FILE"  # noqa: S105  the name of a setting
WRONG_SHAPE = "This is not a token. Copy it from the settings of your account at ListenBrainz."
NO_TOKEN = "The token is no longer on this server. Connect it again."  # noqa: S105  a sentence
NO_KEY = "This server no longer has an API key for Last.fm. Ask your operator."
UNKNOWN = "No answer came when this was sent, and Last.fm does not say whether it has it."


@frozen
class ScrobbleConnection:
    """One service on the page of an account. `scrobbler` is None while it is off."""

    service: str
    title: str
    scrobbler: Scrobbler | None
    waiting: int
    refused_count: int
    refused: Sequence[Scrobble]


class Scrobbling:
    """Scrobbling of one vault. Any thread. Nothing is sent for an account that did not connect a service."""

    def __init__(
        self,
        settings: Settings,
        catalog: CatalogDatabase,
        *,
        library: Library,
        tasks: TaskRunner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rows = ScrobbleTable(catalog)
        self._folder = settings.state_dir / "scrobble_tokens"
        self._library = library
        self._tasks = tasks
        self._clock = clock
        self._fetcher = LazyHttpClient(lambda: make_fetcher(settings, read_timeout_s=READ_TIMEOUT_S))
        self._clients: dict[str, ScrobbleClient] = {
            LISTENBRAINZ: ListenBrainzClient(self._fetcher, settings.LISTENBRAINZ_API_URL)
        }
        self.lastfm_key = settings.LASTFM_API_KEY
        secret = _secret(settings) if self.lastfm_key else ""
        if secret:
            from image_cache.scrobbling.lastfm import LastfmClient  # most vaults have no key

            self._clients[LASTFM] = LastfmClient(self._fetcher, settings.LASTFM_API_URL, self.lastfm_key, secret)
        tasks.register(SCROBBLE, self._run)

    # What pages ask

    def connections(self, account_id: int) -> list[ScrobbleConnection]:
        """Return the services that this server can send to, with what an account does there."""
        return [self._connection(account_id, service) for service in self._clients]

    def connect(self, account_id: int, service: str, token: str) -> None:
        """Keep a token and have it tested in the background. Raises `FieldRejected` for text that cannot be one, `StorageError`."""
        if service not in self._clients or not looks_like_token(token.strip()):
            raise FieldRejected("token", WRONG_SHAPE)
        self._token(account_id, service).write(token.strip())
        self.rows.connect(account_id, service, self._clock())
        self._start()

    def disconnect(self, account_id: int, service: str) -> int:
        """Delete the token and what waits; return how many tracks did. Raises `StorageError`."""
        self._token(account_id, service).delete()
        return self.rows.disconnect(account_id, service)

    def retry(self, account_id: int, service: str) -> None:
        """Send again what was refused, at once."""
        self.rows.retry(account_id, service)
        self._start()

    # In the background

    def run_maintenance(self) -> None:
        """Queue the tracks of sides that are over, and start the task if anything is due. A periodic job: idle, two SELECTs."""
        try:
            self._enqueue()
            if self._due():
                self._start()
        except DatabaseError as error:
            logger.warning("scrobbles deferred reason=%s", error)

    def delete_orphans(self) -> None:
        """Delete the tokens of accounts that were removed. A periodic job."""
        if not self._folder.is_dir():
            return
        known = {f"{account_id}-{service}.token" for account_id, service in self.rows.connections()}
        for path in self._folder.glob("*.token"):
            if path.name not in known:
                path.unlink(missing_ok=True)

    def abort(self) -> None:
        """Abort the call that is in progress; the service is stopping."""
        self._fetcher.close()

    def _start(self) -> None:
        latest = self._tasks.latest(SCROBBLE)
        if latest is None or latest.is_over:
            self._tasks.start(SCROBBLE, {}, is_here=True)

    def _due(self) -> list[Scrobbler]:
        """Return the connections that something is due of. Tokens are files: with several nodes only those that this one has."""
        due = self.rows.due(self._clock())
        return [one for one in due if not self.rows.db.node or self._token(one.account_id, one.service).exists()]

    def _enqueue(self) -> None:
        while sides := self.rows.heard(self._clock(), SIDES_AT_A_TIME):
            albums = {album.id: album for album in self._library.albums_by_id(list({side.album_id for side in sides}))}
            with self.rows.db.write() as conn:
                for side in sides:
                    album = albums.get(side.album_id)
                    tracks = heard_tracks(album, side.side, side.started_at, side.ended_at) if album else []
                    self.rows.enqueue(conn, side, tracks)

    def _run(self, task: Task) -> Mapping[str, Any]:
        """Task: test new tokens, then send what is due, one connection after the other."""
        sent = 0
        for scrobbler in self._due():
            task.check()
            sent += self._run_one(task, scrobbler)
        return {"scrobbles": sent}

    def _run_one(self, task: Task, scrobbler: Scrobbler) -> int:
        who = (scrobbler.account_id, scrobbler.service)
        client, token = self._clients.get(scrobbler.service), self._token(*who).read()
        if client is None or token is None:
            self.rows.stop(*who, NO_TOKEN if client else NO_KEY)
            return 0
        try:
            if scrobbler.state == "new":
                name, kept = client.verify(token)
                self._token(*who).write(kept)
                self.rows.turn_on(*who, name)
                logger.info("scrobbling connected account=%s service=%s", *who)
                token = kept
            return self._send_all(task, client, token, scrobbler)
        except (SourceRefused, BatchRefused) as error:
            logger.warning("scrobbling stopped account=%s service=%s reason=%s", *who, error.reason)
            self.rows.stop(*who, error.reason)
        except OriginError as error:
            task.check()  # a call that was aborted because the service stops says nothing about theirs
            retry_at = self._clock() + retry_delay_s(scrobbler.failures + 1, error)
            self.rows.delay(*who, f"{client.title} did not take it: {error.reason}.", retry_at)
        return 0

    def _send_all(self, task: Task, client: ScrobbleClient, token: str, scrobbler: Scrobbler) -> int:
        who, sent = (scrobbler.account_id, scrobbler.service), 0
        self._resolve(client, token, scrobbler)
        while True:
            task.check()
            batch = self.rows.claim(*who, client.batch)
            if not batch:
                break
            outcome = self._send(client, token, batch)
            self.rows.settle(scrobbler, outcome.sent, outcome.refused.items(), self._clock())
            sent += len(outcome.sent)
            if outcome.later:
                self.rows.release(outcome.later)
                self.rows.delay(*who, outcome.message, self._clock() + outcome.later_s)
                break
        return sent

    def _send(self, client: ScrobbleClient, token: str, batch: Sequence[Scrobble]) -> Outcome:
        """Send a batch; halve one that is refused as a whole, until it is known which track it is. Raises as the client does."""
        try:
            return client.submit(token, batch)
        except BatchRefused as error:
            if len(batch) == 1:
                return Outcome(refused={batch[0].id: error.reason})
        except SourceRefused:
            self.rows.release([one.id for one in batch])
            raise
        except OriginUnavailable as error:
            if is_unsent(error.kind, error.status):
                self.rows.release([one.id for one in batch])
            raise
        middle = len(batch) // 2
        first, second = self._send(client, token, batch[:middle]), self._send(client, token, batch[middle:])
        return Outcome(
            [*first.sent, *second.sent],
            {**first.refused, **second.refused},
            [*first.later, *second.later],
            max(first.later_s, second.later_s),
            first.message or second.message,
        )

    def _resolve(self, client: ScrobbleClient, token: str, scrobbler: Scrobbler) -> None:
        """Find out about tracks that were sent without an answer, or before a crash; those that did not arrive wait again."""
        who = (scrobbler.account_id, scrobbler.service)
        while unclear := self.rows.unclear(*who, client.batch):
            try:
                arrived = client.arrived(token, unclear)
            except BatchRefused:
                self.rows.settle(scrobbler, (), [(one.id, UNKNOWN) for one in unclear], self._clock())
                continue
            if arrived:
                self.rows.settle(scrobbler, arrived, (), self._clock())
            self.rows.release([one.id for one in unclear if one.id not in arrived])

    def _connection(self, account_id: int, service: str) -> ScrobbleConnection:
        scrobbler = self.rows.scrobbler(account_id, service)
        title = self._clients[service].title
        if scrobbler is None:
            return ScrobbleConnection(service, title, None, 0, 0, ())
        waiting, refused_count = self.rows.counts(account_id, service)
        refused = self.rows.refused(account_id, service) if refused_count else ()
        return ScrobbleConnection(service, title, scrobbler, waiting, refused_count, refused)

    def _token(self, account_id: int, service: str) -> TokenFile:
        return TokenFile(self._folder / f"{account_id}-{service}.token")


def _secret(settings: Settings) -> str:
    """Return the secret of the API account. Raises `ConfigError` for a file that is missing or empty."""
    path = settings.LASTFM_SECRET_FILE
    try:
        secret = path.read_text(encoding="ascii", errors="replace").strip() if path is not None else ""
    except OSError as error:
        raise ConfigError(SECRET_FILE, f"cannot be read: {error.strerror}") from error
    if not secret:
        raise ConfigError(SECRET_FILE, "must name a file with the secret that belongs to VINYL_VAULT_LASTFM_API_KEY")
    return secret
