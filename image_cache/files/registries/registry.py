"""Registry files as pooch writes them: a line per file, `name sha256 url`. They are kept as text, as a person wrote them."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from image_cache.errors import CacheError, OriginDenied, StorageError, UnknownFile
from image_cache.files.download.checksums import is_sha256
from image_cache.files.near_names import did_you_mean
from image_cache.files.paths import Remote, name_of, parse_remote
from image_cache.filesystem import make_folder, replacing
from image_cache.frozen import frozen

MAX_TEXT_BYTES = 4_000_000
MAX_LINES = 20_000
MAX_LINE_CHARS = 8192
MAX_NAME_CHARS = 200
MAX_URLS = 10  # of one file
BASE = "#! base-url "  # the first line of a kept registry whose lines have no URLs
REGISTRY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadRegistry(CacheError):
    """A registry cannot be read, or has a name that no file can have."""


@frozen
class RegistryFile:
    """One file of a registry. `sha256` empty: any content. `urls`: the first one is the file's own, the others are mirrors."""

    name: str
    sha256: str
    urls: tuple[str, ...]

    def remote(self, base_url: str = "") -> Remote:
        return parse_remote(self.urls[0], base_url)


@frozen
class BadLine:
    """A line that names no file: its number from 1, its text, and why."""

    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}: {self.text.partition('?')[0][:80]}"  # a query may hold a secret


@dataclass(slots=True)
class Registry:
    """The files of a registry in the order of its lines, and the lines that name none."""

    name: str = ""
    files: dict[str, RegistryFile] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, *, name: str = "", base_url: str = "", image_server: str = "") -> Self:
        """Parse lines `name sha256 [url...]`, or `url [sha256]`; `#` begins a comment line, quotes hold a name with spaces.

        A line without a URL is joined to `base_url`. The same name with the same checksum on a further line adds a mirror.
        """
        found = cls(name)
        numbers: dict[str, int] = {}
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # splitlines() would also split at other characters
        for number, line in enumerate(lines, 0 if text.startswith(BASE) else 1):
            if line.startswith(BASE):
                base_url = base_url or line.removeprefix(BASE).strip()
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                if number > MAX_LINES:
                    raise ValueError(f"a registry has at most {MAX_LINES:,} lines")
                file = _parse_line(line, base_url, image_server)
                if (before := found.files.get(file.name)) is not None:
                    file = _with_mirrors(before, file, numbers[file.name])
            except ValueError as error:
                found.bad.append(BadLine(number, line.strip(), str(error)))
                continue
            found.files[file.name] = file
            numbers.setdefault(file.name, number)
        return found


def _parse_line(line: str, base_url: str, image_server: str) -> RegistryFile:
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"longer than {MAX_LINE_CHARS:,} characters")
    try:
        words = shlex.split(line)
    except ValueError:
        raise ValueError("a quote is not closed") from None
    name = "" if "://" in words[0] else words.pop(0)
    hashes = [word for word in words if "://" not in word]
    urls = [word for word in words if "://" in word]
    if name and len(name) > MAX_NAME_CHARS:
        raise ValueError(f"the name is longer than {MAX_NAME_CHARS} characters")
    if _CONTROL.search(name):
        raise ValueError("the name has a control character")
    if len(hashes) > 1:
        raise ValueError("expected `name sha256 url`")
    sha256 = _sha256(hashes[0]) if hashes else ""
    if not urls:
        if not base_url:
            raise ValueError("no URL, and the registry has no base URL")
        urls = [f"{base_url.rstrip('/')}/{name.lstrip('/')}"]
    if len(urls) > MAX_URLS:
        raise ValueError(f"more than {MAX_URLS} URLs")
    try:
        urls = list(dict.fromkeys(parse_remote(url, image_server).url for url in urls))
    except OriginDenied as error:
        raise ValueError(error.reason) from None
    if len(urls) > 1 and not sha256:
        raise ValueError("several URLs need a SHA-256 checksum, which shows that they have the same file")
    return RegistryFile(name or name_of(urls[0]), sha256, tuple(urls))


def _sha256(text: str) -> str:
    """Return the SHA-256 of a field such as `HEX`, `sha256:HEX` or `md5:HEX,sha256:HEX`. Raises `ValueError`."""
    for part in text.split(","):
        algorithm, _, value = part.rpartition(":")
        if algorithm.lower() in ("", "sha256"):
            if not is_sha256(value):
                raise ValueError("a SHA-256 checksum has 64 hexadecimal digits (0-9, a-f)")
            return value.lower()
    raise ValueError("only SHA-256 checksums are supported")


def _with_mirrors(before: RegistryFile, file: RegistryFile, number: int) -> RegistryFile:
    if before.sha256 != file.sha256:
        raise ValueError(f"line {number} has the same name with another checksum")
    urls = tuple(dict.fromkeys((*before.urls, *file.urls)))
    if len(urls) > 1 and not file.sha256:
        raise ValueError(f"line {number} has the same name; several URLs need a SHA-256 checksum")
    return replace(before, urls=urls[:MAX_URLS])


class RegistryFolder:
    """The registries of a vault: text files in one folder. Any thread, several processes. Makes nothing before the first one."""

    def __init__(self, folder: Path, image_server: str = "") -> None:
        self._folder = folder
        self._image_server = image_server

    def names(self) -> list[str]:
        try:
            return sorted(path.name for path in self._folder.iterdir() if REGISTRY_NAME.fullmatch(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(str(self._folder), error.strerror or str(error)) from error

    def read(self, name: str) -> Registry:
        """Return a registry. Raises `UnknownFile`, or `StorageError`."""
        if not REGISTRY_NAME.fullmatch(name):
            raise UnknownFile(f"There is no registry {name[:80]!r}.")
        try:
            text = (self._folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            known = ", ".join(self.names()) or "none yet; `files registry add` adds one"
            raise UnknownFile(f"There is no registry {name!r}. Registries: {known}.") from None
        except OSError as error:
            raise StorageError(str(self._folder / name), error.strerror or str(error)) from error
        return Registry.parse(text, name=name, image_server=self._image_server)

    def all(self) -> list[Registry]:
        return [self.read(name) for name in self.names()]

    def add(self, name: str, data: bytes, *, base_url: str = "") -> Registry:
        """Keep a registry in place of the one of this name, bad lines included. Raises `BadRegistry` if no line names a file."""
        if not REGISTRY_NAME.fullmatch(name):
            raise BadRegistry(f"{name[:80]!r}: the name of a registry has 1 to 64 letters, digits, dots, dashes and underscores.")
        if len(data) > MAX_TEXT_BYTES:
            raise BadRegistry(f"{name}: a registry has at most {MAX_TEXT_BYTES // 1_000_000} MB.")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            number = data[: error.start].count(b"\n") + 1
            raise BadRegistry(f"{name}: line {number} is not UTF-8 text.") from error
        registry = Registry.parse(text, name=name, base_url=base_url, image_server=self._image_server)
        if not registry.files:
            why = f" The first bad one is {registry.bad[0]}." if registry.bad else ""
            raise BadRegistry(f"{name}: no line is `name sha256 url`.{why}")
        head = f"{BASE}{base_url}\n" if base_url else ""
        path = self._folder / name
        try:
            make_folder(self._folder)
            with replacing(path, is_durable=True) as file:
                file.write((head + text).encode())
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error
        return registry

    def remove(self, name: str) -> None:
        """Remove a registry; its files stay in the cache. Raises `UnknownFile`."""
        self.read(name)
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(str(self._folder / name), error.strerror or str(error)) from error

    def has(self, name: str) -> bool:
        """Return True if any registry has a file of this name."""
        return any(name in registry.files for registry in self.all())

    def named(self, name: str) -> list[RegistryFile]:
        """Return the files of this name in all registries, the same one once."""
        return list(dict.fromkeys(registry.files[name] for registry in self.all() if name in registry.files))

    def file_names(self, registry: str = "") -> list[str]:
        """Return the names of the files of one registry, or of all."""
        return [name for known in ([self.read(registry)] if registry else self.all()) for name in known.files]

    def find(self, name: str, registry: str = "") -> RegistryFile:
        """Return the file of a name, from one registry or from all. Raises `UnknownFile` if none or several have it."""
        searched: Iterable[Registry] = [self.read(registry)] if registry else self.all()
        found = {known.name: known.files[name] for known in searched if name in known.files}
        if not found:
            near = did_you_mean(name, self.file_names(registry))
            raise UnknownFile(
                f"No registry has a file {name[:80]!r}.{near} Give its URL, or add a registry with `files registry add`."
            )
        if len(set(found.values())) > 1:
            raise UnknownFile(f"{name!r} is in {' and '.join(sorted(found))}. Choose one with --registry.")
        return next(iter(found.values()))
