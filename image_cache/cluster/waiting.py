"""A node whose database waits for `vinylvault migrate`: it says so on its port, and starts when that was done."""

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from image_cache.cluster.index_schema import COVERS, SHARED_INDEX
from image_cache.config import Settings
from image_cache.db.database import DatabaseError, WrongVersion
from image_cache.db.postgres.server import check_server, open_postgres
from image_cache.errors import ConfigError

logger = logging.getLogger(__name__)

POLL_S = 1.0
REASON = "The database has the schema of an older version. Run: vinylvault migrate"


def wait_until_migrated(settings: Settings) -> None:
    """Return when the schemas fit this version. Raises `ConfigError` if they need a newer one, or the server cannot be used."""
    check_server(settings)
    catalog = open_postgres(settings, is_reader=True)
    covers = catalog.beside(COVERS, SHARED_INDEX)
    try:
        if _is_waiting(catalog.migration_problem() or covers.migration_problem()):
            logger.warning("waiting for vinylvault migrate node=%s", catalog.node)
            print(f"  VinylVault waits. {REASON}", flush=True)  # noqa: T201  before the log is set up
            with _answering(settings):
                while _is_waiting(catalog.migration_problem() or covers.migration_problem()):
                    time.sleep(POLL_S)
    finally:
        covers.close()
        catalog.close()


def _is_waiting(problem: DatabaseError | None) -> bool:
    if isinstance(problem, WrongVersion) and problem.version > problem.known:
        raise ConfigError("VINYL_VAULT_DATABASE", str(problem))
    return problem is not None


class _Unready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_alive = self.path.partition("?")[0] == "/livez"
        body = {"status": "alive"} if is_alive else {"status": "not ready", "reason": REASON}
        data = json.dumps(body).encode()
        self.send_response(200 if is_alive else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        if not is_alive:
            self.send_header("Retry-After", "2")
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _answering(settings: Settings) -> Iterator[None]:
    """Answer on the port of the service, if it is free, that this node is not ready."""
    ThreadingHTTPServer.address_family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    try:
        server = ThreadingHTTPServer((settings.HOST, settings.PORT), _Unready)
    except OSError as error:  # the start itself says what is wrong with it
        logger.warning("no answer while waiting reason=%s", error)
        yield
        return
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
