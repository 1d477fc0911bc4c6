"""How gunicorn serves VinylVault: one worker with threads, no control socket, threads of ours after the fork only.

`gunicorn -c systemd/gunicorn.conf.py "app:create_app()"` from the checkout. All numbers come from the settings.
"""

import contextlib
import ctypes
import gc
import socket
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from config import load_settings  # noqa: E402
from image_cache.errors import ConfigError  # noqa: E402

try:
    _settings = load_settings()
except ConfigError as error:
    sys.exit(f"VinylVault does not start. {error}")

if _settings.WORKERS > 1:
    # Modules, not the application, are loaded before the fork: workers share their memory, and no thread, socket or database
    # handle is inherited. One worker alone would share with the arbiter, which needs none of it, and each page that the worker
    # writes to (counting references is enough) would be there twice: 58 MB instead of 51 once covers have been fetched.
    import app as _application  # noqa: F401

chdir = str(ROOT)
bind = f"{'[' + _settings.HOST + ']' if ':' in _settings.HOST else _settings.HOST}:{_settings.PORT}"
worker_class = "gthread"
workers = _settings.WORKERS
threads = _settings.THREADS
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  the heartbeat must not wear the card
keepalive = 5
timeout = 60
graceful_timeout = 25
max_requests = 0  # a recycled worker would restart its threads for nothing
limit_request_line = 8190
loglevel = "debug" if _settings.DEBUG else "warning"
accesslog = "-" if _settings.DEBUG else None
forwarded_allow_ips = ""  # forwarding headers are judged by the application, by VINYL_VAULT_TRUSTED_PROXIES


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


def post_worker_init(worker):
    """Start our threads in the worker that uses them; the first one says where the page is."""
    services = worker.wsgi.extensions["vinylvault"]
    services.start()
    if worker.age == 1:
        host = _settings.HOST
        if host in ("0.0.0.0", "::"):  # noqa: S104
            print(
                f"\n  VinylVault  http://localhost:{_settings.PORT}/  also  http://{socket.gethostname()}.local:{_settings.PORT}/"
            )
        else:
            print(f"\n  VinylVault  http://{bind}/")
        code = services.accounts.setup_code()
        if code:
            print(f"  No operator yet. Claim this machine at /claim with the code {code}")
        print(flush=True)


def worker_exit(server, worker):
    """Give jobs back and join our threads before the process ends."""
    application = getattr(worker, "wsgi", None)
    if application is not None:
        application.extensions["vinylvault"].close()
