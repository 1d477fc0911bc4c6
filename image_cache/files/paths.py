"""Names of a file: its canonical URL and digest, a display name, and the paths of its file, part and note."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from image_cache.engine.key import digest_of
from image_cache.errors import OriginDenied
from image_cache.frozen import frozen
from image_cache.net.url import parse_url

DIGEST = re.compile(r"[0-9a-f]{32}")
MAX_NAME_CHARS = 120
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UNSAFE = re.compile(r"[^\w.+@=-]+")
_SUFFIX = re.compile(r"(?:\.[a-z0-9]{1,8}){1,2}$")
# digest of the URL, hash of the content, and the suffix that readers such as nibabel go by
_FILE = re.compile(r"([0-9a-f]{32})-([0-9a-f]{64})(?:\.[a-z0-9]{1,8}){0,2}")


@frozen
class Remote:
    """A file at an origin, by its canonical URL."""

    url: str
    digest: str
    name: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold a secret; for logs and pages."""
        return self.url.partition("?")[0]


def parse_remote(url: str, base_url: str = "") -> Remote:
    """Parse a URL; one without a scheme is joined to `base_url`. Raises `OriginDenied` for anything but an http(s) URL."""
    if isinstance(url, str) and not _SCHEME.match(url):
        if not base_url:
            raise OriginDenied(url, "relative URLs only work if IMAGE_SERVER is set")
        # A path, never another host: `//elsewhere/x` is below the base like everything else.
        url = f"{base_url.rstrip('/')}/{url.lstrip('/')}"
    canonical = parse_url(url).url
    return Remote(canonical, digest_of("files", canonical)[:32], name_of(canonical))


def name_of(url: str) -> str:
    """Return a file name for display and downloads: the last part of the path, safe for disks and headers."""
    last = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2], errors="replace")
    name = _UNSAFE.sub("_", last).lstrip(".")
    if len(name) > MAX_NAME_CHARS:
        ending = suffix(name)
        name = name[: MAX_NAME_CHARS - len(ending)] + ending
    return name or "file"


def suffix(name: str) -> str:
    """Return the suffix that readers recognise the file type by, such as `.nii.gz` or `.mgz`; empty if there is none."""
    found = _SUFFIX.search(name.lower())
    return found[0] if found and found.start() else ""


def file_path(digest: str, name: str, sha256: str) -> str:
    """Return the path of the file with this content, below the folder of all files."""
    return f"{digest[:2]}/{digest}-{sha256}{suffix(name)}"


def part_path(root: Path, digest: str) -> Path:
    """Return the path of a partial download: beside the final place of the file."""
    return root / digest[:2] / f"{digest}.part"


def note_path(path: Path) -> Path:
    """Return the path of the note beside a file or part: what is needed to rebuild its row, or to resume it."""
    return path.with_name(path.name + ".note")


def parse_file_name(name: str) -> tuple[str, str] | None:
    """Return (digest of the URL, SHA-256 of the content) from a file name, None for a name of another form."""
    found = _FILE.fullmatch(name)
    return (found[1], found[2]) if found else None
