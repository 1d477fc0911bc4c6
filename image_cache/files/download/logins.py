"""Logins for origins: a token or a name with a password for each, in one file that only its owner can read (mode 0600).

A login is sent to its origin alone, never after a redirect (`HttpClient.open`), and never shown or logged.
"""

import base64
import json
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from image_cache.errors import CacheError, OriginDenied, StorageError, UnknownFile
from image_cache.filesystem import lock_folder, make_folder, replacing
from image_cache.frozen import frozen
from image_cache.net.url import parse_url

MAX_FILE_BYTES = 1_000_000
MAX_LOGINS = 200
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadLogin(CacheError):
    """A login cannot be used as it was given. The message has no part of the secret."""


@frozen
class Login:
    """The login of one origin, as it may be shown: everything but the secret. `user` empty: a token."""

    origin: str
    user: str
    added_at: float


@dataclass(frozen=True, slots=True, repr=False)
class StoredLogin:
    """A login with its secret. It has no repr, so that no message can have it."""

    user: str
    secret: str
    added_at: float

    @property
    def header(self) -> str:
        """The value of the `Authorization` header."""
        if not self.user:
            return f"Bearer {self.secret}"
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode("ascii")


class Logins:
    """The logins of a vault. Any thread, several processes: what one changes, the others use with their next request."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()  # protects the two below
        self._known: dict[str, StoredLogin] = {}
        self._stamp: tuple[int, int, int] | None = None  # of the file that was read

    def all(self) -> list[Login]:
        """Return the logins without their secrets. Raises `StorageError`."""
        return [Login(origin, login.user, login.added_at) for origin, login in sorted(self._read().items())]

    def find(self, url: str) -> Login | None:
        """Return the login that a request of this URL sends, without its secret. Raises `OriginDenied`."""
        origin = str(parse_url(url).peer)
        login = self._read().get(origin)
        return None if login is None else Login(origin, login.user, login.added_at)

    def headers(self, url: str) -> dict[str, str]:
        """Return the secret headers for the origin of a URL; none if it has no login. Raises `OriginDenied`, `StorageError`."""
        login = self._read().get(str(parse_url(url).peer))
        return {} if login is None else {"Authorization": login.header}

    def add(self, origin: str, secret: str, *, user: str = "") -> Login:
        """Add the login of an origin, or replace it. A host without a scheme means https. Raises `BadLogin`, `StorageError`."""
        added = self.add_all({origin: (user, secret)})
        return added[0]

    def add_all(self, given: dict[str, tuple[str, str]]) -> list[Login]:
        """Add several logins, {origin: (user, secret)}, all or none."""
        now = self._clock()
        new = {origin_of(origin): _checked(user, secret, now) for origin, (user, secret) in given.items()}

        def change(logins: dict[str, StoredLogin]) -> None:
            logins.update(new)
            if len(logins) > MAX_LOGINS:
                raise BadLogin(f"There are at most {MAX_LOGINS} logins. Remove one first.")

        self._change(change)
        return [Login(origin, login.user, login.added_at) for origin, login in new.items()]

    def remove(self, origin: str) -> None:
        """Remove the login of an origin. Raises `UnknownFile` if there is none."""
        name = origin_of(origin)

        def change(logins: dict[str, StoredLogin]) -> None:
            if logins.pop(name, None) is None:
                raise UnknownFile(f"There is no login for {name}.")

        self._change(change)

    def _change(self, change: Callable[[dict[str, StoredLogin]], None]) -> None:
        try:
            make_folder(self._path.parent)
            with lock_folder(self._path.parent):
                logins = dict(self._read())
                change(logins)
                with replacing(self._path, is_durable=True) as file:
                    file.write(json.dumps({origin: asdict(login) for origin, login in logins.items()}).encode())
        except OSError as error:
            raise StorageError(self._path.name, error.strerror or "cannot be written") from error

    def _read(self) -> dict[str, StoredLogin]:
        with self._lock:
            try:
                facts = self._path.stat()
                stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                if stamp != self._stamp:
                    self._known, self._stamp = _parsed(self._path), stamp
            except FileNotFoundError:
                self._known, self._stamp = {}, None
            except OSError as error:
                raise StorageError(self._path.name, error.strerror or "cannot be read") from error
            return self._known


def origin_of(text: str) -> str:
    """Return the origin that a person means by a host or a URL. Raises `BadLogin`.

    A host alone is its https origin: a secret is sent over http only to an origin that was given with `http://`.
    """
    text = text.strip()
    try:
        return str(parse_url(text if "://" in text else f"https://{text}").peer)
    except OriginDenied as error:
        raise BadLogin(f"The origin must be a host or a URL, for example volumes.example: {error.reason}.") from None


def netrc_logins(path: Path) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the logins of a netrc file, and why others of it are left out. Raises `BadLogin`."""
    import netrc  # rarely used

    try:
        parsed = netrc.netrc(str(path))
    except netrc.NetrcParseError as error:
        # Its message may quote a password.
        raise BadLogin(f"{path}, line {error.lineno}: not a netrc file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadLogin(f"{path}: {getattr(error, 'strerror', None) or 'not a text file'}.") from None
    found: dict[str, tuple[str, str]] = {}
    left_out = []
    for host, (user, _, secret) in parsed.hosts.items():
        if host == "default":
            left_out.append("default: it would send its password to every origin")
        elif not user or not secret:
            left_out.append(f"{host}: it has no login or no password")
        else:
            found[host] = (user, secret)
    return found, left_out


def _checked(user: str, secret: str, now: float) -> StoredLogin:
    if not secret:
        raise BadLogin("The token or password is empty.")
    if user and (":" in user or len(user) > 200 or _CONTROL.search(user)):
        raise BadLogin("The user name has at most 200 characters, no colon and no control characters.")
    if user and (len(secret) > 4096 or _CONTROL.search(secret)):
        raise BadLogin("The password has at most 4,096 characters and no control characters.")
    if not user and not _TOKEN.fullmatch(secret):
        raise BadLogin("A token has at most 4,096 letters, digits and signs, and no spaces.")
    return StoredLogin(user, secret, now)


def _parsed(path: Path) -> dict[str, StoredLogin]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        data = file.read(MAX_FILE_BYTES)
    try:
        return {
            str(origin): StoredLogin(str(facts["user"]), str(facts["secret"]), float(facts["added_at"]))
            for origin, facts in json.loads(data).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StorageError(path.name, "not readable as JSON; remove the file and add the logins again") from None
