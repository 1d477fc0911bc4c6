"""Registries as groups: how far their files are, and what can be done with all of them at once."""

from collections.abc import Callable, Iterable
from pathlib import Path

from image_cache.errors import OriginDenied
from image_cache.files.cache import FileCache
from image_cache.files.download.queue import FIRST_ATTEMPT
from image_cache.files.listing import Entry, entries
from image_cache.files.registries.registry import BadLine, Registry, RegistryFile, RegistryFolder
from image_cache.frozen import frozen


@frozen
class GroupFile:
    """One file of a registry; `entry` None: neither stored nor to be fetched. `state`: done, failed, paused, working, waiting or absent."""

    file: RegistryFile
    digest: str
    entry: Entry | None
    state: str


@frozen
class FileGroup:
    """A registry with its files. `bytes_per_s` and `eta_s` are None while they are unknown; `eta_s` is an estimate."""

    name: str
    members: tuple[GroupFile, ...]
    bad_lines: tuple[str, ...]
    done_bytes: int
    bytes_per_s: float | None
    eta_s: float | None

    def count(self, *states: str) -> int:
        return sum(member.state in states for member in self.members)

    @property
    def total(self) -> int:
        return len(self.members)

    @property
    def done(self) -> int:
        return self.count("done")

    @property
    def is_open(self) -> bool:
        """True while something is left to do or to decide: a file downloads, waits, is paused or has failed."""
        return self.count("working", "waiting", "paused", "failed") > 0


class FileGroups:
    """The registries of a vault and their files. `wake` runs the queue."""

    def __init__(self, cache: FileCache, folder: Path, image_server: str, wake: Callable[[], None]) -> None:
        self.registries = RegistryFolder(folder, image_server)
        self._cache = cache
        self._image_server = image_server
        self._wake = wake

    def all(self, known: Iterable[Entry] | None = None) -> list[FileGroup]:
        """Return all groups. `known`: the entries of the cache, when the caller has them."""
        registries = self.registries.all()
        if not registries:
            return []
        by_digest = {entry.digest: entry for entry in (entries(self._cache) if known is None else known)}
        return [self._group(registry, by_digest) for registry in registries]

    def one(self, name: str) -> FileGroup:
        """Return one group. Raises `UnknownFile`."""
        registry = self.registries.read(name)
        return self._group(registry, {entry.digest: entry for entry in entries(self._cache)})

    def fetch(self, name: str, *, is_pinned: bool = False) -> int:
        """Queue all files of a registry that are not stored; return how many. Raises `UnknownFile`."""
        return self.enqueue([member.file for member in self.one(name).members if member.state != "done"], is_pinned=is_pinned)

    def enqueue(self, files: Iterable[RegistryFile], *, is_pinned: bool = False) -> int:
        """Queue files; return how many. One that must not be fetched becomes a failed one that says why."""
        wanted, denied = [], []
        for file in files:
            remote = file.remote()
            try:
                self._cache.opener.check(remote.url)
            except OriginDenied as error:
                denied.append((remote, error.reason))
            wanted.append((remote, file.sha256, file.urls[1:]))
        self._cache.open()
        pinned = {"is_pinned": 1} if is_pinned else {}
        self._cache.index.add_all(wanted, **FIRST_ATTEMPT, **pinned)
        for remote, reason in denied:
            self._cache.index.change(remote.digest, state="failed", reason=reason)
        self._wake()
        return len(wanted)

    def enqueue_lines(self, text: str, *, is_pinned: bool = False) -> list[BadLine]:
        """Queue the files of lines as a registry has them; return the lines that name none."""
        found = Registry.parse(text, image_server=self._image_server)
        if found.files:
            self.enqueue(found.files.values(), is_pinned=is_pinned)
        return found.bad

    def retry(self, name: str) -> None:
        """Queue the failed files of a group again. Raises `UnknownFile`."""
        self.enqueue(member.file for member in self.one(name).members if member.state == "failed")

    def pause(self, name: str) -> None:
        """Pause the files of a group that wait or download. Raises `UnknownFile`."""
        self._change(name, ("waiting", "working"), state="paused", reason="", retry_at=0.0)

    def resume(self, name: str) -> None:
        """Resume the paused files of a group. Raises `UnknownFile`."""
        self._change(name, ("paused",), state="waiting", is_wanted=1, reason="", retry_at=0.0)
        self._wake()

    def _change(self, name: str, states: tuple[str, ...], **facts: object) -> None:
        registry = self.registries.read(name)
        self._cache.open()
        self._cache.index.change_all([file.remote().digest for file in registry.files.values()], states, **facts)

    def _group(self, registry: Registry, by_digest: dict[str, Entry]) -> FileGroup:
        members = tuple(_member(file, by_digest) for file in registry.files.values())
        done_bytes, sizes, speed = 0, [], 0.0
        for entry in (member.entry for member in members):
            if entry is None:
                continue
            come, whole = entry.size_bytes, entry.size_bytes
            if entry.fetch is not None and not entry.size_bytes:
                come, whole = entry.fetch.done_bytes, entry.fetch.total_bytes or 0
                speed += entry.fetch.bytes_per_s or 0.0
            done_bytes += come
            sizes += [whole] if whole else []
        left_bytes = len(members) * sum(sizes) / len(sizes) - done_bytes if sizes else None  # of files like those that are known
        return FileGroup(
            registry.name,
            members,
            tuple(map(str, registry.bad)),
            done_bytes,
            speed or None,
            max(0.0, left_bytes) / speed if speed and left_bytes is not None else None,
        )


def _member(file: RegistryFile, by_digest: dict[str, Entry]) -> GroupFile:
    digest = file.remote().digest
    entry = by_digest.get(digest)
    if entry is None:
        state = "absent"
    elif entry.state in ("fresh", "stale") and file.sha256 in ("", entry.sha256):
        state = "done"
    elif entry.fetch is None:
        state = "absent"  # another content is stored, or a corrupt one
    else:
        state = "waiting" if entry.fetch.state == "cut" else entry.fetch.state
    return GroupFile(file, digest, entry, state)
