"""Counters per window of time that all nodes share in Valkey or Redis. While it is away each node counts for itself.

Names are hashed with the secret key: Valkey holds no address of a client, and two vaults on one server do not meet.
"""

import datetime
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from image_cache.config import Settings
from image_cache.engine.shared_counters import SharedCounters, WindowCounters
from image_cache.errors import ConfigError

try:
    from valkey import Valkey
    from valkey.exceptions import ValkeyError
except ImportError as error:
    problem = "support for Valkey is not installed. Run: pip install --require-hashes -r requirements-cluster.txt"
    raise ConfigError("VINYL_VAULT_VALKEY", problem) from error

logger = logging.getLogger(__name__)
T = TypeVar("T")

TIMEOUT_S = 0.05  # a request waits for it at most so long, and then not again for the next
AWAY_S = 5.0
# One step, so that a counter never stays without an end.
_ADD = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count
"""


class ValkeyServer:
    """A server that may be away. Any thread; one for each process, made after a fork."""

    def __init__(self, client: "Valkey", key: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self.client: Any = client
        self.prefix = f"vinylvault:{hmac.digest(key, b'valkey', 'sha256').hex()[:16]}"
        self.add = self.client.register_script(_ADD)
        self._key = hashlib.sha256(key).digest()
        self._clock = clock
        self._lock = threading.Lock()  # protects the next two
        self._away_until = 0.0
        self._is_away = False

    def name(self, purpose: str, name: str) -> str:
        """Return the name of a counter there."""
        return (
            f"{self.prefix}:{purpose}:{hashlib.blake2b(name.encode(errors='replace'), key=self._key, digest_size=16).hexdigest()}"
        )

    def ask(self, question: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """Return the answer to a question, or what this node knows itself while the server is away."""
        if self._away_until > self._clock():  # unlocked: a lost race costs one more question
            return otherwise()
        try:
            answer = question()
        except (ValkeyError, OSError) as error:
            self._note_away(error)
            return otherwise()
        if self._is_away:
            self._note_back()
        return answer

    def _note_away(self, error: Exception) -> None:
        with self._lock:
            was_away, self._is_away = self._is_away, True
            self._away_until = self._clock() + AWAY_S
        if not was_away:
            logger.warning("valkey away, limits are counted in this node only reason=%s", error)

    def _note_back(self) -> None:
        with self._lock:
            was_away, self._is_away = self._is_away, False
        if was_away:
            logger.info("valkey back, limits are counted over all nodes")


class ValkeyCounters:
    """The counters of one purpose, with the interface of `SharedCounters`. Any thread, several processes, several machines.

    A window starts with the first event and ends after its length. `local` counts while the server is away.
    """

    def __init__(self, server: ValkeyServer, purpose: str, local: SharedCounters) -> None:
        self._server, self._purpose, self._local = server, purpose, local

    def add(self, name: str, length_s: float, amount: int = 1) -> int:
        """Count an event; return the count of the window."""
        arguments = [amount, max(1, round(length_s * 1000))]
        return self._server.ask(
            lambda: int(self._server.add(keys=[self._named(name)], args=arguments)),
            lambda: self._local.add(name, length_s, amount),
        )

    def peek(self, name: str) -> tuple[int, float]:
        """Return (count, seconds until the window ends); (0, 0.0) if there is none."""

        def question() -> tuple[int, float]:
            with self._server.client.pipeline(transaction=True) as both:
                count, left_ms = both.get(self._named(name)).pttl(self._named(name)).execute()
            return (int(count), left_ms / 1000) if count and left_ms >= 0 else (0, 0.0)

        return self._server.ask(question, lambda: self._local.peek(name))

    def reset(self, name: str) -> None:
        self._local.reset(name)
        self._server.ask(lambda: self._server.client.delete(self._named(name)), lambda: None)

    def clear(self) -> None:
        self._local.clear()
        self._server.ask(self._delete_all, lambda: None)

    def _delete_all(self) -> None:
        for name in self._server.client.scan_iter(f"{self._server.prefix}:{self._purpose}:*", count=1000):
            self._server.client.delete(name)

    def _named(self, name: str) -> str:
        return self._server.name(self._purpose, name)


def open_server(settings: Settings, key: bytes, timeout_s: float = TIMEOUT_S) -> ValkeyServer:
    """Return the server of the settings; asks it once, so that the log says at the start if it is away. Raises `ConfigError`."""
    password = None
    if settings.VALKEY_PASSWORD_FILE is not None:
        try:
            password = settings.VALKEY_PASSWORD_FILE.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise ConfigError("VINYL_VAULT_VALKEY_PASSWORD_FILE", f"cannot be read: {reason}") from error
    client = Valkey.from_url(
        settings.VALKEY,
        password=password,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        lib_name=None,  # else each connection begins with two more questions
        lib_version=None,
    )
    server = ValkeyServer(client, key)
    server.ask(client.ping, lambda: None)
    return server


def open_counters(
    settings: Settings, key: bytes, limits: SharedCounters, views: SharedCounters, *, timeout_s: float = TIMEOUT_S
) -> tuple[WindowCounters, WindowCounters]:
    """Return the counters of limits and of views over all nodes; those of this node count while Valkey is away. Raises `ConfigError`."""
    server = open_server(settings, key, timeout_s)
    return ValkeyCounters(server, "limits", limits), ValkeyCounters(server, "views", views)


def salt_of_day(key: bytes) -> Callable[[], str]:
    """Return what makes the salt by which all nodes recognise a viewer until the day (UTC) is over."""

    def salt() -> str:
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        return hmac.digest(key, f"views\n{day}".encode(), "sha256").hex()

    return salt
