"""Destinations of alerts: webhooks, ntfy topics and mail addresses, in one file of the state folder that only we can read."""

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from pathlib import Path

from image_cache.errors import FieldRejected, OriginDenied, StorageError
from image_cache.filesystem import lock_file, make_folder, replacing
from image_cache.frozen import frozen
from image_cache.net.url import Target, canonical_host, parse_url
from image_cache.units import whole_number

WEBHOOK, NTFY, MAIL = "webhook", "ntfy", "mail"
KINDS = {WEBHOOK: "Webhook", NTFY: "ntfy", MAIL: "Mail"}
MAX_DESTINATIONS, MAX_CHARS = 10, 500
TLS_PORT = 465  # TLS from the first byte; on other ports STARTTLS is required
_MAILBOX = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,250}", re.ASCII)
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_MAX_FILE_BYTES = 100_000


@frozen
class AlertDestination:
    """One destination. `url` is that of a webhook, or of a topic of ntfy; `secret` a key, token or password.

    What may be a secret is not in its `repr`: the URL of a webhook is often all that is needed to write there.
    """

    id: str
    kind: str
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    host: str = ""
    port: int = 0
    login: str = field(default="", repr=False)
    sender: str = field(default="", repr=False)
    recipient: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """What a page may show of it: of a webhook only the server."""
        if self.kind == MAIL:
            return self.recipient
        target = parse_url(self.url)
        if self.kind == WEBHOOK:
            return str(target.peer).partition("//")[2]
        return target.url.partition("//")[2]


def read_destination(kind: str, typed: Mapping[str, str]) -> AlertDestination:
    """Return the destination that a form describes. Raises `FieldRejected`."""
    given = {name: value.strip() for name, value in typed.items()}
    for name, value in given.items():
        if len(value) > MAX_CHARS or not value.isprintable():
            raise FieldRejected(name, f"Enter at most {MAX_CHARS} characters, without line breaks.")
    if kind == MAIL:
        return _read_mail(given)
    if kind not in KINDS:
        raise FieldRejected("kind", "Choose Webhook, ntfy or Mail.")
    target = _read_url(given.get("url", ""))
    secret = given.get("secret", "")
    if not secret.isascii():
        raise FieldRejected("secret", "Enter letters, digits and signs of ASCII only.")
    if kind == NTFY:
        ntfy_parts(target.url)
    return AlertDestination(_new_id(), kind, url=target.url, secret=secret)


def ntfy_parts(url: str) -> tuple[str, str]:
    """Return the URL of an ntfy server and the topic. Raises `FieldRejected`."""
    root, _, topic = url.rpartition("/")
    if not _TOPIC.fullmatch(topic):
        raise FieldRejected("url", "Enter the URL of a topic, for example https://ntfy.sh/your-topic.")
    return f"{root}/", topic


def _read_url(url: str) -> Target:
    if not url:
        raise FieldRejected("url", "Enter a URL, for example https://example.com/hook.")
    try:
        return parse_url(url)
    except OriginDenied as error:
        raise FieldRejected("url", f"Enter another URL: {error.reason}.") from error


def _read_mail(given: Mapping[str, str]) -> AlertDestination:
    for name in ("recipient", "sender"):
        if not _MAILBOX.fullmatch(given.get(name, "")) or not given[name].isascii():
            raise FieldRejected(name, "Enter a mail address, for example ada@example.com.")
    try:
        host = canonical_host(given.get("host", ""))
    except ValueError as error:
        raise FieldRejected("host", "Enter the name of a mail server, for example smtp.example.com.") from error
    port = whole_number(given.get("port") or "587", 1, 65535)
    if port is None:
        raise FieldRejected("port", "Enter a port from 1 to 65535, for example 587 (STARTTLS) or 465 (TLS).")
    for name in ("login", "secret"):
        if not given.get(name, "").isascii():
            raise FieldRejected(name, "Enter letters, digits and signs of ASCII only: mail servers take no others.")
    if bool(given.get("login")) != bool(given.get("secret")):
        raise FieldRejected("secret", "Enter both a login and its password, or neither.")
    return AlertDestination(
        _new_id(),
        MAIL,
        secret=given.get("secret", ""),
        host=host,
        port=port,
        login=given.get("login", ""),
        sender=given["sender"],
        recipient=given["recipient"],
    )


def _new_id() -> str:
    return secrets.token_hex(4)


class DestinationFile:
    """The destinations of one vault, mode 0600. Any thread, several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[AlertDestination]:
        """Return the destinations in the order they were added; none if there is no file. Raises `StorageError`."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(self._path.name, error.strerror or "cannot be read") from error
        with open(fd, "rb") as file:
            body = file.read(_MAX_FILE_BYTES)
        try:
            return [AlertDestination(**row) for row in json.loads(body)]
        except (ValueError, TypeError) as error:
            raise StorageError(self._path.name, "is not a list of destinations") from error

    def add(self, new: AlertDestination) -> None:
        """Add a destination. Raises `FieldRejected` if there are too many, `StorageError`."""

        def added(known: list[AlertDestination]) -> list[AlertDestination]:
            if len(known) >= MAX_DESTINATIONS:
                raise FieldRejected("kind", f"There are {MAX_DESTINATIONS} destinations already. Remove one first.")
            return [*known, new]

        self._change(added)

    def remove(self, destination_id: str) -> bool:
        """Remove a destination; return False if there is none. Raises `StorageError`."""
        if all(one.id != destination_id for one in self.read()):
            return False
        self._change(lambda known: [one for one in known if one.id != destination_id])
        return True

    def _change(self, change: Callable[[list[AlertDestination]], list[AlertDestination]]) -> None:
        try:
            make_folder(self._path.parent)
            with lock_file(self._path.with_name(f".{self._path.name}.lock")):
                rows = [asdict(one) for one in change(self.read())]
                with replacing(self._path, is_durable=True) as file:
                    file.write(json.dumps(rows, indent=1).encode())
        except OSError as error:
            raise StorageError(self._path.name, error.strerror or "cannot be written") from error
