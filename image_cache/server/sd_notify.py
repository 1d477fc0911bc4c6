"""What the service manager is told: that we are ready, that we stop, and that we still answer. Nothing without one.

The protocol is a datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). Knows neither gunicorn nor Flask.
"""

import logging
import socket
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

ANSWER_S = 20.0  # the longest that a request of our own may wait; a Pi whose card is busy takes seconds
SHARE = 4  # of the watchdog's time between two looks, so that one slow look does not cost the service


class Notifier:
    """The line to the service manager. Any thread; without an address every call does nothing."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, state: str) -> bool:
        """Send lines such as `READY=1`; False when nobody is there. A manager that does not listen is no reason to fail."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(ANSWER_S)
                line.sendto(state.encode(), self._address)
        except OSError as error:
            logger.warning("service manager not told state=%s reason=%s", state.partition("\n")[0], error)
            return False
        return True


class SystemdWatchdog:
    """A thread that tells the service manager that all is well as long as `is_well` says so, within the time it allows.

    A service that answers with an error is alive: restarting would not mend its disk. One that does not answer is not.
    """

    def __init__(self, notifier: Notifier, allowed_s: float, is_well: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._every_s = allowed_s / SHARE
        self._is_well = is_well
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        was_well = True
        while not self._stop.wait(self._every_s):
            is_well = self._is_well()
            if is_well:
                self._notifier.tell("WATCHDOG=1")
            elif was_well:
                logger.error("own question not answered, the service manager starts us anew if that stays so")
            was_well = is_well


def answers(host: str, port: int, name: str = "localhost", timeout_s: float = ANSWER_S) -> bool:
    """Ask `/health` as a client would; tell whether any answer begins in time. It passes the main loop, a thread, and SQLite."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    request = f"GET /health HTTP/1.1\r\nHost: {name}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((target, port), timeout_s) as line:
            line.settimeout(timeout_s)
            line.sendall(request.encode())
            return line.recv(16).startswith(b"HTTP/1.1 ")
    except OSError:
        return False
