"""Tokens of services in files that their user alone may read: never in the catalogue, a page or the log."""

import os
import re
from pathlib import Path

from image_cache.errors import StorageError
from image_cache.filesystem import make_folder, replacing

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,128}")
_MAX_BYTES = 1000


def looks_like_token(text: str) -> bool:
    """Return True if the text could be a token: letters and digits only, so nothing that would end a header."""
    return _TOKEN.fullmatch(text) is not None


class TokenFile:
    """A token in a file. Any thread, several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.is_file()

    def read(self) -> str | None:
        """Return the token, or None if there is none. Raises `StorageError`."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be read") from error
        try:
            text = os.read(fd, _MAX_BYTES).decode("ascii", errors="replace").strip()
        finally:
            os.close(fd)
        return text if looks_like_token(text) else None

    def write(self, token: str) -> None:
        """Replace the token atomically. Raises `StorageError`, and `ValueError` for text that cannot be a token."""
        if not looks_like_token(token):
            raise ValueError("not a token")
        try:
            make_folder(self.path.parent)
            with replacing(self.path, is_durable=True) as file:
                file.write(token.encode("ascii"))
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be written") from error

    def replace_by(self, other: "TokenFile") -> bool:
        """Move the token of another file here; return False if it has none. Raises `StorageError`."""
        try:
            other.path.replace(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be written") from error
        return True

    def delete(self) -> bool:
        """Delete the token; return True if there was one. Raises `StorageError`."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(self.path.name, error.strerror or "cannot be deleted") from error
        return True
