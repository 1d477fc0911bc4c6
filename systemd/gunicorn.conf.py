"""How gunicorn serves VinylVault: one worker with threads, no control socket, threads of ours after the fork only.

`gunicorn -c systemd/gunicorn.conf.py "app:create_app()"` from the checkout. All numbers come from the settings.
"""

import contextlib
import ctypes
import errno
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from config import load_settings  # noqa: E402
from image_cache import logs  # noqa: E402
from image_cache.bootstrap import ensure_directories, secret_key  # noqa: E402
from image_cache.engine.shared_counters import SharedCounters  # noqa: E402
from image_cache.errors import CacheError  # noqa: E402
from image_cache.server.sd_notify import Notifier, SystemdWatchdog, answers  # noqa: E402
from image_cache.server.worker import BufferingWorker  # noqa: E402


def _refuse(sentence):
    print(f"VinylVault does not start. {sentence}", file=sys.stderr, flush=True)
    sys.exit(1)


try:
    _settings = load_settings()
    ensure_directories(_settings)
    secret_key(_settings.secret_key_path)
except CacheError as error:
    _refuse(f"{error}. {error.hint}".strip())

if _settings.WORKERS > 1:
    # Modules, not the application, are loaded before the fork: workers share their memory, and no thread, socket or database
    # handle is inherited. One worker alone would share with the arbiter, which needs none of it, and each page that the worker
    # writes to (counting references is enough) would be there twice: 58 MB instead of 51 once covers have been fetched.
    import app as _application  # noqa: F401

# gunicorn itself says that it is ready before a worker has loaded anything. The address is kept from it, under a name that a
# reload of this file finds again.
if "NOTIFY_SOCKET" in os.environ:
    os.environ["VINYLVAULT_NOTIFY_SOCKET"] = os.environ.pop("NOTIFY_SOCKET")
_notifier = Notifier(os.environ.get("VINYLVAULT_NOTIFY_SOCKET", ""))
_watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

chdir = str(ROOT)
bind = f"{'[' + _settings.HOST + ']' if ':' in _settings.HOST else _settings.HOST}:{_settings.PORT}"
worker_class = BufferingWorker
workers = _settings.WORKERS
threads = _settings.THREADS
worker_connections = 500  # more than a house has; the longest-waiting one makes room
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  the heartbeat must not wear the card
umask = 0o077
keepalive = 5
timeout = 60
graceful_timeout = 25
max_requests = 0  # a recycled worker would restart its threads for nothing
limit_request_line = 8190
limit_request_fields = 60
loglevel = "debug" if _settings.DEBUG else "warning"
accesslog = "-" if _settings.DEBUG else None
forwarded_allow_ips = ""  # forwarding headers are judged by the application, by VINYL_VAULT_TRUSTED_PROXIES

_limits = SharedCounters()  # made before the fork, so that all workers count in it
_views, _views_salt = SharedCounters(), secrets.token_hex(8)  # so that a viewer of a stream counts once, whichever worker answers


def on_starting(server):
    """Before the first worker: how log lines look, and whether the port is free."""
    try:
        logs.to_stderr(logging.DEBUG if _settings.DEBUG else logging.INFO, _settings.LOG_FILE)
    except OSError as error:
        _refuse(f"VINYL_VAULT_LOG_FILE: {_settings.LOG_FILE} cannot be written ({error.strerror}).")
    for handler in (*server.log.error_log.handlers, *server.log.access_log.handlers):
        handler.setFormatter(logs.SingleLineFormatter())
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):  # what gunicorn itself says belongs into the file as well
            server.log.error_log.addHandler(handler)
    if "LISTEN_FDS" not in os.environ and "GUNICORN_FD" not in os.environ:
        _check_port()
    stop = server.stop  # gunicorn's own hook comes when the workers are gone

    def announced(*arguments, **named):
        _notifier.tell("STOPPING=1")
        stop(*arguments, **named)

    server.stop = announced


def _check_port():
    family = socket.AF_INET6 if ":" in _settings.HOST else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_settings.HOST, _settings.PORT))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                _refuse(f"PORT: something else listens on {_settings.PORT} already.")
            if error.errno == errno.EACCES:
                _refuse(f"PORT: this user may not listen on {_settings.PORT}; from 1024 on everybody may.")
            _refuse(f"HOST: {_settings.HOST} is no address of this machine ({error.strerror}).")


def pre_fork(server, worker):
    """Put what is loaded out of the collector's reach: it writes to every object it visits, and each page written is a copy."""
    gc.collect()
    gc.freeze()


def post_fork(server, worker):
    """Have large buffers go back to the system when they are freed.

    glibc raises its thresholds to the largest buffer it has seen freed, per thread: after one picture of 15 MB the worker would
    keep 40 MB for ever. Without mallopt (musl) nothing is done.
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 256 << 10)
        libc.mallopt(M_TRIM_THRESHOLD, 256 << 10)
        libc.mallopt(M_ARENA_MAX, 2)  # not one for each of a dozen threads: 2 MB less, and they hardly ever meet


def post_worker_init(worker):
    """Start our threads in the worker that uses them; the first one says where the page is."""
    from gunicorn import SERVER

    from image_cache.db.database import DatabaseError
    from image_cache.server.fast_path import FastPath
    from image_cache.web.context import WARM
    from image_cache.web.rate_limits import share_limits

    share_limits(_limits)
    services = worker.wsgi.extensions["vinylvault"]
    services.streams.view_counts.share(_views, _views_salt)
    if not _settings.DEBUG:  # the log of every request is written where the usual way ends
        worker.quick = FastPath(worker.wsgi.extensions[WARM], SERVER)
    services.start()
    _notifier.tell(f"READY=1\nSTATUS=Serving on port {_settings.PORT}")
    if _watchdog_s:
        name = next(iter(_settings.TRUSTED_HOSTS), "localhost").lstrip(".")
        SystemdWatchdog(
            _notifier, _watchdog_s, lambda: services.pool.is_whole and answers(_settings.HOST, _settings.PORT, name)
        ).start()
    if worker.age == 1:
        host = _settings.HOST
        if host in ("0.0.0.0", "::"):  # noqa: S104
            print(
                f"\n  VinylVault  http://localhost:{_settings.PORT}/  also  http://{socket.gethostname()}.local:{_settings.PORT}/"
            )
        else:
            print(f"\n  VinylVault  http://{bind}/")
        try:
            if code := services.accounts.setup_code():
                print(f"  No operator yet. Claim this machine at /claim with the code {code}")
        except DatabaseError as error:  # pictures are still served; /health says the rest
            print(f"  The catalogue cannot be read ({error}). It needs a backup: {_settings.catalog_path}")
        print(flush=True)


def worker_exit(server, worker):
    """Give jobs back and join our threads before the process ends."""
    # Ctrl-C reaches this process twice, by the terminal and by the arbiter: the second one must not end what the first began.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    application = getattr(worker, "wsgi", None)
    if application is not None:
        application.extensions["vinylvault"].close()
