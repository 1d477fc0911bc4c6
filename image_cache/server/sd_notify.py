"""systemd notifications: ready, stopping, and the watchdog. Does nothing without a service manager.

The protocol is a datagram to the socket in `NOTIFY_SOCKET`; see sd_notify(3). Knows neither gunicorn nor Flask.
"""

import logging
import socket
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

RESPONSE_S = 20.0  # timeout of the health request; a Pi whose card is busy takes seconds
CHECKS_PER_TIMEOUT = 4  # so that one slow check does not restart the service


class Notifier:
    """Sends notifications to the service manager. Any thread; without an address every call does nothing."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def notify(self, state: str) -> bool:
        """Send lines such as `READY=1`. Return False, and only log a warning, if they cannot be sent."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(RESPONSE_S)
                sock.sendto(state.encode(), self._address)
        except OSError as error:
            logger.warning("systemd not notified state=%s reason=%s", state.partition("\n")[0], error)
            return False
        return True


class SystemdWatchdog:
    """A thread that sends watchdog notifications while `is_healthy` returns True, several times within the timeout.

    A service that responds with an error is alive: a restart would not repair its disk. One that does not respond is not.
    """

    def __init__(self, notifier: Notifier, timeout_s: float, is_healthy: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._every_s = timeout_s / CHECKS_PER_TIMEOUT
        self._is_healthy = is_healthy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        was_healthy = True
        while not self._stop.wait(self._every_s):
            is_healthy = self._is_healthy()
            if is_healthy:
                self._notifier.notify("WATCHDOG=1")
            elif was_healthy:
                logger.error("self-check failed, systemd restarts the service if this continues")
            was_healthy = is_healthy


def responds(host: str, port: int, name: str = "localhost", timeout_s: float = RESPONSE_S) -> bool:
    """Request `/health` as a client would; return True if a response starts in time. Tests the main loop, a thread, and SQLite."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    request = f"GET /health HTTP/1.1\r\nHost: {name}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((target, port), timeout_s) as sock:
            sock.settimeout(timeout_s)
            sock.sendall(request.encode())
            return sock.recv(16).startswith(b"HTTP/1.1 ")
    except OSError:
        return False
