"""Cache keys. Equal keys mean equal bytes, so a key determines the URL, the file and the ETag."""

import hashlib
import re
from typing import NamedTuple

DIGEST = re.compile(r"[0-9a-f]{64}")


class Key(NamedTuple):
    """The key of one entry: a namespace with its own budget, a variant, and the digest of everything that determines the bytes.

    A variant may have a file suffix (`detail.jpg`); without one it is WebP. A tuple, because a warm hit looks it up three times: a
    dataclass hashes and compares in Python, four times as slow.
    """

    namespace: str
    variant: str
    digest: str

    @property
    def path(self) -> str:
        """The file below the namespace's folder. Two-character shards are sufficient for 400,000 files (more gain nothing)."""
        folder, _, suffix = self.variant.partition(".")
        return f"{folder}/{self.digest[:2]}/{self.digest}.{suffix or 'webp'}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.path}"

    @property
    def etag(self) -> str:
        return f'"{self.digest[:32]}-{self.variant}"'


def key_of_path(namespace: str, folder: str, name: str) -> Key | None:
    """Return the key whose file is `name` in a variant's `folder`, or None if it is not the name of an entry."""
    digest, _, suffix = name.partition(".")
    if not DIGEST.fullmatch(digest) or suffix not in ("webp", "jpg"):
        return None
    return Key(namespace, folder if suffix == "webp" else f"{folder}.{suffix}", digest)


def digest_of(*parts: str) -> str:
    """Return the hex SHA-256 of the parts, each with its length in front, so that ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()
