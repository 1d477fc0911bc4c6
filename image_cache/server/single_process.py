"""One process for one worker: the server runs its only worker itself instead of forking it.

gunicorn's arbiter restarts workers that ended and divides connections among them. With one worker it would only wait, in 14 MB of
its own, for what the service manager does anyway: restart the service (`Restart=on-failure`, and the watchdog). Knows no Flask;
`systemd/gunicorn.conf.py` calls it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from image_cache.server.worker import BufferingWorker

EXTRA_S = 5  # beyond the graceful timeout, to release jobs and join threads


class OnlyWorker(BufferingWorker):
    """A worker without an arbiter: it outlives its parent, as a server does, and bounds its own stop."""

    on_stop: Callable[[], object] | None = None  # called once it is told to stop
    is_managed = False  # by a service manager; else SIGHUP means that the terminal was closed
    is_reloading = False

    def notify(self) -> None:
        """Do nothing: there is no arbiter that waits for a heartbeat. The watchdog has its own thread."""

    def is_parent_alive(self) -> bool:
        return True

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGHUP, self.handle_hup)

    def handle_hup(self, sig: int, frame: object) -> None:
        """Stop, and restart with the current settings in the same process if a service manager asks for it."""
        self.is_reloading = self.is_managed
        self.handle_exit(sig, frame)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop gracefully. An alarm ends the process if a thread does not end in time, as the arbiter would."""
        if self.alive and self.on_stop is not None and not self.is_reloading:
            self.on_stop()
        signal.alarm(int(self.cfg.graceful_timeout) + EXTRA_S)
        super().handle_exit(sig, frame)


def serve_alone(arbiter: Any, on_stop: Callable[[], object], *, is_managed: bool) -> None:
    """Run the only worker of an arbiter that listens but has forked nothing yet. Call `on_stop` when it is told to stop.

    Does not return. Raises `SystemExit`: 0 after a stop, 4 if the application cannot be loaded, as gunicorn does.
    """
    worker = OnlyWorker(1, os.getppid(), arbiter.LISTENERS, arbiter.app, arbiter.timeout, arbiter.cfg, arbiter.log)
    worker.pid = os.getpid()
    worker.on_stop, worker.is_managed = on_stop, is_managed
    arbiter.cfg.post_fork(arbiter, worker)
    try:
        worker.init_process()
    except SystemExit:
        raise
    except BaseException:
        arbiter.log.exception("The server failed" if worker.booted else "Cannot load the application")
        sys.exit(arbiter.APP_LOAD_ERROR)
    finally:
        worker.tmp.close()
        arbiter.cfg.worker_exit(arbiter, worker)
    if worker.is_reloading:
        signal.alarm(0)  # it would outlive the exec
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  itself
    sys.exit(0)
