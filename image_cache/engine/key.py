"""Names of cached bytes. Equal keys mean equal bytes, so a key decides the address, the file and the ETag at once."""

import hashlib
import re
from typing import NamedTuple

DIGEST = re.compile(r"[0-9a-f]{64}")


class Key(NamedTuple):
    """One cached value: a part of the key space with a budget of its own, a variant, and the digest of what decides the bytes.

    A variant may carry a file suffix (`detail.jpg`); without one it is WebP. A tuple, because a warm hit is three lookups of
    it: a dataclass hashes and compares in Python, four times as slow.
    """

    namespace: str
    variant: str
    digest: str

    @property
    def path(self) -> str:
        """The file below the namespace's folder. Two-character shards are enough to 400,000 files (a finer split gains nothing)."""
        folder, _, suffix = self.variant.partition(".")
        return f"{folder}/{self.digest[:2]}/{self.digest}.{suffix or 'webp'}"

    @property
    def etag(self) -> str:
        return f'"{self.digest[:32]}-{self.variant}"'


def key_of_path(namespace: str, folder: str, name: str) -> Key | None:
    """Return the key whose file is `name` in a variant's `folder`, or None when the name is not one of ours."""
    digest, _, suffix = name.partition(".")
    if not DIGEST.fullmatch(digest) or suffix not in ("webp", "jpg"):
        return None
    return Key(namespace, folder if suffix == "webp" else f"{folder}.{suffix}", digest)


def digest_of(*parts: str) -> str:
    """Hash the parts, each with its length in front, so that ("ab", "c") and ("a", "bc") differ. Returns hex SHA-256."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()
