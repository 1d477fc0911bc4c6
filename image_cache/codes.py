"""Codes that people can read out or type, and the hash of a secret, which is all that the catalogue stores of it."""

import hashlib
import secrets

READABLE = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # no characters that look alike; eight of them are 39 bits
GROUP_CHARS = 4
MAX_CODE_CHARS = 40


def new_code(groups: int) -> str:
    """Return a random code in groups of four, such as `7QMZ-KT9X`."""
    return "-".join("".join(secrets.choice(READABLE) for _ in range(GROUP_CHARS)) for _ in range(groups))


def bare_code(text: str) -> str:
    """Return a code as it is compared: in capitals, without what stands between its groups."""
    return "".join(char for char in text[:MAX_CODE_CHARS].upper() if char.isalnum())


def hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
