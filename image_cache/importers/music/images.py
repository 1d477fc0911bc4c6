"""Images in music folders, read from their folder when a cover is loaded; nothing is copied.

Their address is `music:root/path?mark`, with `&embedded` for the image inside a music file. The mark is size and time of the file,
so that a changed file has a new address. Only scans create such addresses: no table and no form can contain one.
"""

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes

from image_cache.config import Settings
from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import OriginError, OriginNotFound, OriginTooLarge, OriginUnavailable
from image_cache.importers.music.folders import MusicRoots
from image_cache.importers.music.names import Names
from image_cache.importers.music.tags.reader import TagReader
from image_cache.importers.music.walk import holds_anything, open_file, opened, opened_root, reason_of
from image_cache.net.fetch_result import FetchResult

SCHEME = "music:"
MAX_ADDRESS_CHARS = 8000
TAG_BUDGET_BYTES = 128 << 20  # of memory for one tag: images of 50 MB fit
_ADDRESS = re.compile(r"music:([a-z0-9-]{1,60})/([^?]+)\?([0-9a-f]{1,16}-[0-9a-f]{1,16})(&embedded)?")
_PERMANENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, 0}


def mark_of(facts: os.stat_result) -> str:
    return f"{facts.st_size:x}-{max(0, facts.st_mtime_ns):x}"


def picture_address(root: str, path: Names, mark: str, *, is_embedded: bool) -> str | None:
    """Return the address of an image, or None if its path is too long for an address."""
    text = f"{SCHEME}{root}/{encoded(path)}?{mark}{'&embedded' if is_embedded else ''}"
    return text if len(text) <= MAX_ADDRESS_CHARS else None


def encoded(path: Names) -> str:
    """Return a path as ASCII, whatever bytes are in its names."""
    return "/".join(quote(os.fsencode(name), safe="") for name in path)


def decoded(text: str) -> Names:
    return tuple(os.fsdecode(unquote_to_bytes(part)) for part in text.split("/")) if text else ()


class MusicImages:
    """The local source of addresses with the scheme `music`. Any thread. `reader` reads tags, for scans too."""

    def __init__(self, settings: Settings, catalog: CatalogDatabase, clock: Callable[[], float] = time.time) -> None:
        self.max_bytes = settings.max_fetch_bytes
        self.reader = TagReader(min(TAG_BUDGET_BYTES, settings.decode_budget_bytes))
        self._roots = MusicRoots(settings, catalog, clock=clock)

    def fetch(self, address: str) -> FetchResult:
        """Read an image.

        Raises `OriginUnavailable` if the whole root is missing (a disk that is not plugged in), `OriginNotFound` if only the image
        is missing or has changed, `OriginTooLarge`, and `DecoderFailed` for a tag that cannot be read.
        """
        found = _ADDRESS.fullmatch(address)
        path = decoded(found[2]) if found else ()
        if found is None or not path or any(name in ("", ".", "..") or "/" in name or "\0" in name for name in path):
            raise OriginNotFound(address, "not the URL of an image in a music folder")
        folder = self._roots.active().get(found[1])
        if folder is None:
            raise OriginNotFound(address, f"the music folder {found[1]} was removed")
        with contextlib.ExitStack() as stack:
            try:
                top = stack.enter_context(opened_root(folder))
            except OSError as error:
                raise OriginUnavailable(address, f"the music folder {found[1]} is missing ({reason_of(error)})") from error
            try:
                return self._read(address, top, path, found[3], is_embedded=bool(found[4]))
            except OSError as error:
                raise _origin_error(address, found[1], error, top) from error

    def close(self) -> None:
        """Close the reader of tags, also in the middle of a file."""
        self.reader.close()

    def _read(self, address: str, top: int, path: Names, mark: str, *, is_embedded: bool) -> FetchResult:
        with opened(top, path[:-1]) as inner:
            file = open_file(inner, path[-1])
        try:
            facts = os.fstat(file)
            if mark_of(facts) != mark:
                raise OriginNotFound(address, "the file has changed; the next scan picks up the new one")
            if is_embedded:
                body = self.reader.picture(file)
            elif facts.st_size > self.max_bytes:
                raise OriginTooLarge(address, self.max_bytes, facts.st_size)
            else:
                body = _read_all(file, facts.st_size)
        finally:
            os.close(file)
        if not body:
            raise OriginNotFound(address, "it has no embedded image")
        return FetchResult(address, 200, body)


def _read_all(file: int, size_bytes: int) -> bytes:
    parts = []
    while size_bytes > 0 and (part := os.read(file, min(size_bytes, 1 << 20))):
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)


def _origin_error(address: str, root: str, error: OSError, top: int) -> OriginError:
    if error.errno not in _PERMANENT:
        return OriginUnavailable(address, f"the music folder {root} cannot be read ({reason_of(error)})")
    with contextlib.suppress(OSError):
        if not holds_anything(top):
            return OriginUnavailable(address, f"the music folder {root} is empty; its drive may be unplugged")
    return OriginNotFound(address, f"the image cannot be read ({reason_of(error)})")
