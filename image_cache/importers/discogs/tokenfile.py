"""A secret in a file of its own, for its owner alone. It is read when it is used, kept in no attribute, and in no log."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from image_cache.errors import StorageError
from image_cache.filesystem import make_folder

_SHAPE = re.compile(r"[A-Za-z0-9_-]{20,128}")
_MOST_BYTES = 1000


def looks_like_token(text: str) -> bool:
    """Tell whether the text could be a token at all: letters and digits, so nothing that would end a header."""
    return _SHAPE.fullmatch(text) is not None


class TokenFile:
    """A token at a path. Any thread, several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.is_file()

    def read(self) -> str | None:
        """Return the token, None when there is none. Raises `StorageError`."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be read") from error
        try:
            text = os.read(fd, _MOST_BYTES).decode("ascii", errors="replace").strip()
        finally:
            os.close(fd)
        return text if looks_like_token(text) else None

    def write(self, token: str) -> None:
        """Keep the token, whole or not at all. Raises `StorageError`, and `ValueError` for what is no token."""
        if not looks_like_token(token):
            raise ValueError("not a token")
        fresh = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            make_folder(self.path.parent)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, token.encode("ascii"))
                os.fsync(fd)
            finally:
                os.close(fd)
            fresh.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise StorageError(self.path.name, error.strerror or "cannot be written") from error

    def take(self, other: "TokenFile") -> bool:
        """Put the token of another file in the place of this one; False when it has none."""
        try:
            other.path.replace(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be written") from error
        return True

    def forget(self) -> bool:
        """Delete the token; tell whether there was one. Raises `StorageError`."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be deleted") from error
        return True
