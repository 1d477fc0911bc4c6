"""What a child process that reads hostile bytes may use: memory, time, files, no network. Runs in the child; knows no library."""

import ctypes
import math
import os
import resource
import signal
from dataclasses import dataclass

BASE_BYTES = 128 << 20  # address space of an interpreter with its library and one question, before anything is taken apart
_CLONE_NEWNET, _CLONE_NEWUSER = 0x4000_0000, 0x1000_0000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a worker may use. CPU and wall time are per question (a picture, a file); `images` is how many it lives for."""

    budget_bytes: int
    idle_s: float
    cpu_s: int
    wall_s: float
    images: int


def grant_time(limits: ProcessLimits) -> None:
    """Move the CPU limit up by one question's share and wind the alarm. Both end this process when they run out."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime) + limits.cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s)


def confine(limits: ProcessLimits, nursery: int, *, is_tied: bool = True) -> None:
    """Give this process the limits of a worker. Nothing that it decodes can lift them.

    One that is tied dies with its nursery, and that means with the thread that started it: a child that several threads ask in
    turn must not be. It ends when its line closes, or its time.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if is_tied:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != nursery:  # it died before we asked to be told
        os._exit(0)
    memory = BASE_BYTES + limits.budget_bytes
    for what, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, (limits.cpu_s + 1) * limits.images),  # for its whole life; each picture lowers the soft one
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (value, value))


def leave_network() -> None:
    """Move into an empty network namespace where the kernel lets us. Where not, the limits above must do."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
