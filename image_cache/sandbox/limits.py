"""Resource limits of a worker process that reads untrusted bytes: memory, time, files, no network. Runs in the worker."""

import contextlib
import ctypes
import math
import os
import resource
import signal
from collections.abc import Iterator

from image_cache.frozen import frozen

BASE_BYTES = 128 << 20  # address space of an interpreter with its library and one request, before anything is decoded
_CLONE_NEWNET, _CLONE_NEWUSER = 0x4000_0000, 0x1000_0000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


@frozen
class ProcessLimits:
    """Limits of a worker. CPU and wall time are per request (an image, a file); it exits after `max_requests`.

    `max_user_threads`: as many threads and processes may its user have when `allow_threads` is entered; 0: none, ever.
    """

    budget_bytes: int
    idle_s: float
    cpu_s: int
    wall_s: float
    max_requests: int
    max_user_threads: int = 0


def grant_time(limits: ProcessLimits) -> None:
    """Raise the CPU limit by the share of one request and set the alarm. The process is killed if either is exceeded."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime) + limits.cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s)


def confine(limits: ProcessLimits, parent_pid: int, *, is_tied: bool = True) -> None:
    """Apply the limits to this process. Nothing that it decodes can raise them again.

    If `is_tied`, it dies with its parent, which means with the thread that started it. A worker that several threads use must not
    be tied: it exits when its connection is closed or its time is over.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if is_tied:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before prctl was called
        os._exit(0)
    memory = BASE_BYTES + limits.budget_bytes
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, (limits.cpu_s + 1) * limits.max_requests),  # for all requests; each of them lowers the soft limit
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, limits.max_user_threads))


@contextlib.contextmanager
def allow_threads() -> Iterator[None]:
    """Let a library start threads, for one that cannot do without; see `ProcessLimits.max_user_threads`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))


def leave_network() -> None:
    """Move into an empty network namespace if the kernel allows it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
