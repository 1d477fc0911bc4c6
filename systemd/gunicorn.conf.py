"""gunicorn configuration: one worker with threads, in the process itself; no control socket; background threads start with the worker.

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

PR_SET_PDEATHSIG = 1  # prctl.h of Linux
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from image_cache import logs  # noqa: E402
from image_cache.bootstrap import ensure_directories, secret_key  # noqa: E402
from image_cache.config import load_settings  # noqa: E402
from image_cache.engine.shared_counters import SharedCounters  # noqa: E402
from image_cache.errors import CacheError  # noqa: E402
from image_cache.machine import MIN_MEMORY_BYTES, machine_memory_bytes  # noqa: E402
from image_cache.resources import is_container_image  # noqa: E402
from image_cache.server import gunicorn_names  # noqa: E402
from image_cache.server.fast_path import FastPath  # noqa: E402
from image_cache.server.sd_notify import Notifier, SystemdWatchdog, responds  # noqa: E402
from image_cache.units import MEGABYTE  # noqa: E402

logger = logging.getLogger("image_cache.server")


def _refuse(reason):
    print(f"VinylVault could not start. {reason}", file=sys.stderr, flush=True)
    sys.exit(1)


def _end_with_parent(parent):
    """Have this process stopped as by Ctrl-C when the one that started it has ended, however that ended."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before this was asked for
        sys.exit(0)


if _parent := os.environ.pop("VINYLVAULT_PARENT", ""):
    _end_with_parent(int(_parent))

try:
    _settings = load_settings()
    if _settings.DATABASE and _settings.DATABASE_MIGRATE == "check":
        from image_cache.cluster.waiting import wait_until_migrated

        wait_until_migrated(_settings)
    if _settings.DATABASE:
        from image_cache.cluster.admission import check_start

        check_start(_settings)
    ensure_directories(_settings)
    secret_key(_settings.secret_key_path)
except CacheError as error:
    _refuse(f"{error}. {error.hint}".strip())

if _settings.WORKERS > 1:
    # Modules, but not the application, are loaded before the fork: workers share their memory, and inherit no thread, socket or
    # database handle.
    import image_cache.wsgi as _application  # noqa: F401

# gunicorn itself would report READY before a worker has loaded anything, so the address is hidden from it, under a name that a
# reload of this file finds again.
if "NOTIFY_SOCKET" in os.environ:
    os.environ["VINYLVAULT_NOTIFY_SOCKET"] = os.environ.pop("NOTIFY_SOCKET")
_notifier = Notifier(os.environ.get("VINYLVAULT_NOTIFY_SOCKET", ""))
_watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

chdir = str(ROOT)
bind = f"{'[' + _settings.HOST + ']' if ':' in _settings.HOST else _settings.HOST}:{_settings.PORT}"
worker_class = gunicorn_names.worker_class()
workers = _settings.WORKERS
threads = _settings.THREADS
worker_connections = 500  # beyond that the one that has waited longest is closed
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  the heartbeat must not be written to the card
umask = 0o077
keepalive = 5
timeout = 60
graceful_timeout = 25
max_requests = 0  # restarting a worker would have no benefit
limit_request_line = 8190
limit_request_fields = 60
loglevel = "debug" if _settings.DEBUG else "warning"
accesslog = "-" if _settings.DEBUG else None
forwarded_allow_ips = ""  # the application checks forwarding headers, with VINYL_VAULT_TRUSTED_PROXIES

_limits = SharedCounters()  # created before the fork, so that all workers share it
_views, _views_salt = (
    SharedCounters(),
    secrets.token_hex(8),
)  # so that a viewer of a stream counts once, whichever worker responds


def on_starting(server):
    """Set up logging and check the port, before the first worker."""
    try:
        logs.to_stderr(logging.DEBUG if _settings.DEBUG else logging.INFO, _settings.LOG_FILE)
    except OSError as error:
        _refuse(f"VINYL_VAULT_LOG_FILE: cannot write to {_settings.LOG_FILE} ({error.strerror}).")
    for handler in (*server.log.error_log.handlers, *server.log.access_log.handlers):
        handler.setFormatter(logs.SingleLineFormatter())
        handler.addFilter(logs.ReplacedWorkerFilter())
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):  # gunicorn's own messages belong in the file as well
            server.log.error_log.addHandler(handler)
    if "LISTEN_FDS" not in os.environ and "GUNICORN_FD" not in os.environ:
        _check_port()
    memory = machine_memory_bytes()
    if memory < MIN_MEMORY_BYTES:
        logger.warning(
            "little memory, large images are refused has_mb=%d needs_mb=%d", memory // MEGABYTE, MIN_MEMORY_BYTES // MEGABYTE
        )
    stop = server.stop  # gunicorn's own hook runs after the workers have ended

    def announce_stop(*arguments, **named):
        _notifier.notify("STOPPING=1")
        stop(*arguments, **named)

    server.stop = announce_stop


def when_ready(server):
    """Serve in this process if there is one worker; it would only be waited for."""
    if server.num_workers == 1 and server.worker_class is gunicorn_names.worker_class():
        from image_cache.server.single_process import serve_alone

        is_managed = "VINYLVAULT_NOTIFY_SOCKET" in os.environ
        serve_alone(server, lambda: _notifier.notify("STOPPING=1"), is_managed=is_managed)


def _check_port():
    family = socket.AF_INET6 if ":" in _settings.HOST else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_settings.HOST, _settings.PORT))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                _refuse(f"PORT: port {_settings.PORT} is in use by another program.")
            if error.errno == errno.EACCES:
                _refuse(f"PORT: this user cannot use port {_settings.PORT}. Choose a port from 1024 up.")
            _refuse(f"HOST: {_settings.HOST} is not an address of this server ({error.strerror}).")


def pre_fork(server, worker):
    """Exclude loaded objects from garbage collection: it writes to every object, and each page written is copied."""
    gc.collect()
    gc.freeze()


def post_fork(server, worker):
    """Return large buffers to the system when they are freed.

    glibc raises its thresholds to the largest buffer that was freed, per thread: after one image of 15 MB the worker would keep
    40 MB forever. Does nothing without mallopt (musl).
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 256 << 10)
        libc.mallopt(M_TRIM_THRESHOLD, 256 << 10)
        libc.mallopt(M_ARENA_MAX, 2)  # not one for each of a dozen threads: saves 2 MB, with little contention


def post_worker_init(worker):
    """Start the background threads in the worker; the first worker prints the URL."""
    from gunicorn import SERVER

    from image_cache.db.database import DatabaseError
    from image_cache.web.context import BODY_LIMIT, WARM
    from image_cache.web.rate_limits import share_limits

    services = worker.wsgi.extensions["vinylvault"]
    limits, views, salt = _limits, _views, lambda: _views_salt
    if _settings.VALKEY:
        from image_cache.cluster.valkey_counters import open_counters, salt_of_day

        key = secret_key(_settings.secret_key_path)
        limits, views = open_counters(_settings, key, _limits, _views)
        salt = salt_of_day(key)
    share_limits(limits)
    services.streams.view_counts.share(views, salt)
    worker.body_limit = worker.wsgi.extensions[BODY_LIMIT]
    worker.buffer_dir, worker.proxies = str(_settings.cache_dir), _settings.TRUSTED_PROXIES
    if not _settings.DEBUG:  # the fast path does not write the access log
        worker.fast_path = FastPath(worker.wsgi.extensions[WARM], SERVER)
    services.start()
    _notifier.notify(f"READY=1\nSTATUS=Serving on port {_settings.PORT}")
    if _watchdog_s:
        name = next(iter(_settings.TRUSTED_HOSTS), "localhost").lstrip(".")
        SystemdWatchdog(
            _notifier, _watchdog_s, lambda: services.pool.is_healthy and responds(_settings.HOST, _settings.PORT, name)
        ).start()
    if worker.age == 1:
        host = _settings.HOST
        if host in ("0.0.0.0", "::"):  # noqa: S104
            # In a container this name would be the container's, which no one can reach.
            also = "" if is_container_image() else f"  also  http://{socket.gethostname()}.local:{_settings.PORT}/"
            print(f"\n  VinylVault  http://localhost:{_settings.PORT}/{also}")
        else:
            print(f"\n  VinylVault  http://{bind}/")
        try:
            if code := services.accounts.setup_code():
                print(f"  No operator account yet. Create it at /claim with this setup code: {code}")
        except DatabaseError as error:  # covers are still served; /health has the details
            print(f"  The catalogue cannot be read ({error}). It needs a backup: {_settings.catalog_path}")
        print(flush=True)


def worker_exit(server, worker):
    """Release jobs and join the threads before the process ends."""
    # Ctrl-C reaches a forked worker twice, from the terminal and from the arbiter: the second one must not interrupt the shutdown.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    application = getattr(worker, "wsgi", None)
    if application is not None:
        application.extensions["vinylvault"].close()
