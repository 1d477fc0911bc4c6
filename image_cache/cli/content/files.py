"""`files`: large remote files, fetched, listed, verified and imported."""

import datetime
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, OriginError, UnknownFile
from image_cache.files.batch import BatchProgress, FileBatch
from image_cache.files.build import FileServices
from image_cache.files.cache import FileCache
from image_cache.files.disk.pins import pin
from image_cache.files.legacy_import import import_layout
from image_cache.files.listing import Entry, entries
from image_cache.files.registries.registry import RegistryFile
from image_cache.units import counted, size


@click.command("get", cls=VaultCommand)
@click.argument("names", nargs=-1, metavar="[NAME|URL]...")
@click.option("--sha256", default="", help="Expected SHA-256 checksum.")
@click.option("--registry", default="", metavar="R", help="The registry that has the name.")
@click.option("--all", "is_all", is_flag=True, help="With --registry: download all its files.")
@click.option("--pin", "is_pinned", is_flag=True, help="Pin the file: it is never evicted.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Also copy the file to this path.")
def get(  # noqa: PLR0917  the parameters of the command
    context: CommandContext,
    names: tuple[str, ...],
    sha256: str,
    registry: str,
    is_all: bool,
    is_pinned: bool,
    output: Path | None,
) -> int:
    """Download a URL, or the file that a registry calls NAME, unless a fresh copy is cached, and print its path.

    Interrupted downloads resume. Several names, or all files of a registry with --registry R --all, are downloaded two at a time with
    one progress; the exit status is 1 if any failed.
    """
    if is_all and (not registry or names or sha256 or output):
        raise click.UsageError("--all takes --registry R, and no name, --sha256 or --output.")
    if not names and not is_all:
        raise click.UsageError("Give a URL, a name from a registry, or --registry R --all.")
    if len(names) > 1 and (sha256 or output):
        raise click.UsageError("--sha256 and --output take one name.")
    if is_all or len(names) > 1:
        return _get_many(context, names, registry, is_pinned=is_pinned)
    name = names[0]
    with opened_file_services(context) as files:
        file = _named(files, name, registry, sha256)
        cache = files.cache
        path = cache.get(file.urls[0], sha256=file.sha256, mirrors=file.urls[1:], progress=_progress(context))
        if is_pinned:
            pin(cache, cache.remote(file.urls[0]).digest)
            log_action(context, "limits", "pinned 1 file", file.name)
    context.out.end_bar()
    if output is not None:
        try:
            shutil.copyfile(path, output)
        except OSError as error:
            raise CacheError(f"{output}: {error.strerror}") from error
    context.out.line(str(output or path))
    return 0


@click.command("list", cls=VaultCommand)
def list_files(context: CommandContext) -> None:
    """List cached and downloading files."""
    with opened_files(context) as cache:
        listed = entries(cache)
        _, used_bytes = cache.totals()
        budget_bytes = cache.limits().budget_bytes
    context.out.table(
        ("Size", "State", "SHA-256", "File", "Until"), [_cells(entry) for entry in listed], right=(0,), aligned=(9, 16, 12)
    )
    context.out.line(f"{counted(len(listed), 'file')}, {size(used_bytes)} of {size(budget_bytes)}.")


@click.command("verify", cls=VaultCommand)
@click.option("--no-fetch", is_flag=True, help="Report corrupt files without downloading them again.")
def verify_files(context: CommandContext, no_fetch: bool) -> int:
    """Verify every file against its checksum and download corrupt ones again.

    The exit status is 1 if any file stays corrupt.
    """
    out = context.out
    with opened_files(context) as cache:
        cache.open()
        stored = cache.index.files()
        total = sum(file.size_bytes for file in stored)
        done = 0

        def step(count: int) -> None:
            nonlocal done
            done += count
            out.bar(done, total, f"{size(done)} of {size(total)} verified")

        corrupt = [file for file in stored if not cache.verify(file, step)]
        out.end_bar()
        left = 0
        for file in corrupt:
            try:
                if no_fetch:
                    raise CacheError("not downloaded again")
                cache.get(file.url, file.ttl_s, progress=_progress(context))
                out.end_bar()
                log_action(context, "limits", "downloaded a corrupt file again", file.name)
                out.line(f"{file.name}: was corrupt, downloaded again")
            except CacheError as error:
                left += 1
                out.note(f"{file.name}: corrupt, {_message(error)}")
    intact, again = len(stored) - len(corrupt), len(corrupt) - left
    out.line(f"{len(stored):,} files, {size(total)}: {intact:,} OK, {again:,} downloaded again, {left:,} corrupt.")
    return 1 if left else 0


@click.command("import", cls=VaultCommand)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be imported without changing anything.")
def import_files(context: CommandContext, folder: Path, dry_run: bool) -> int:
    """Import the files of FOLDER, a cache described by `cache_metadata.json`. Each file is copied and verified."""
    with opened_files(context) as cache:
        report = import_layout(cache, folder, dry_run=dry_run)
        if report.new and not dry_run:
            log_action(context, "limits", f"imported {counted(report.new, 'file')}", folder.name)
    would = "would be " if dry_run else ""
    context.out.line(
        f"{report.read:,} files listed: {report.new:,} {would}imported, {report.same:,} already cached,"
        f" {len(report.rejected):,} rejected."
    )
    for name, reason in report.rejected:
        context.out.note(f"  {name}: {reason}")
    return 1 if report.read and len(report.rejected) == report.read else 0


@contextmanager
def opened_files(context: CommandContext) -> Iterator[FileCache]:
    """Yield the cache, as `opened_file_services` does."""
    with opened_file_services(context) as files:
        yield files.cache


@contextmanager
def opened_file_services(context: CommandContext) -> Iterator[FileServices]:
    """Yield the services; what the cache has in memory is written at the end. Raises `CacheError` with the URL in its message."""
    with opened_services(context) as services:
        try:
            yield services.files
        except (CacheError, DatabaseError) as error:
            raise CacheError(_message(error)) from error
        finally:
            services.close()


def _named(files: FileServices, name: str, registry: str, sha256: str) -> RegistryFile:
    """Return the file of a URL, or of a name in the registries; a name that none has is a path below IMAGE_SERVER, if that is set."""
    if "://" not in name:
        try:
            found = files.groups.registries.find(name, registry)
        except UnknownFile:
            if registry or not files.settings.IMAGE_SERVER or files.groups.registries.has(name):
                raise
        else:
            return replace(found, sha256=sha256 or found.sha256)
    return RegistryFile(name, sha256, (name,))


def _get_many(context: CommandContext, names: tuple[str, ...], registry: str, *, is_pinned: bool) -> int:
    """Download these names, or all files of the registry without any; print the paths of those that were named."""
    out = context.out

    def draw(progress: BatchProgress) -> None:
        failed = f", {len(progress.failed):,} failed" if progress.failed else ""
        out.bar(
            progress.done, progress.total, f"{progress.done:,} of {progress.total:,} files, {size(progress.size_bytes)}{failed}"
        )

    with opened_file_services(context) as files:
        if names:
            wanted = [_named(files, name, registry, "") for name in dict.fromkeys(names)]
        else:
            wanted = list(files.groups.registries.read(registry).files.values())
        ended = FileBatch(files.cache, wanted, draw, is_pinned=is_pinned).run()
        if is_pinned and ended.done:
            log_action(context, "limits", f"pinned {counted(ended.done, 'file')}", registry)
        stored = [files.cache.index.find(files.cache.remote(file.urls[0]).digest) for file in wanted] if names else []
        paths = [files.cache.root / file.path for file in stored if file is not None]
    out.end_bar(is_done=not ended.failed)
    for name, reason in ended.failed.items():
        out.note(f"{name}: {reason}")
    for path in paths:
        out.line(str(path))
    failed = f", {len(ended.failed):,} failed" if ended.failed else ""
    out.line(f"{ended.done:,} of {counted(ended.total, 'file')}, {size(ended.size_bytes)}{failed}.")
    return 1 if ended.failed else 0


def _progress(context: CommandContext) -> Callable[[int, int | None], None]:
    def draw(done: int, total: int | None) -> None:
        context.out.bar(done, total, f"{size(done)} of {size(total)}" if total else size(done))

    return draw


def _message(error: Exception) -> str:
    """Return what went wrong, with the URL where the message does not have it."""
    return f"{error.url.partition('?')[0]}: {error}" if isinstance(error, OriginError) else str(error)


def sentence_of(error: CacheError) -> str:
    """Return what went wrong as a sentence of its own."""
    text = _message(error)
    return text if text.endswith((".", "?")) else f"{text}."


def _cells(entry: Entry) -> tuple[str, ...]:
    fetch = entry.fetch
    state = entry.state if fetch is None else f"{fetch.state} {size(fetch.done_bytes)}"
    until = "pinned" if entry.is_pinned and fetch is None else ""
    if not until and entry.expires_at and fetch is None:
        until = "until " + datetime.datetime.fromtimestamp(entry.expires_at).astimezone().strftime("%Y-%m-%d %H:%M")
    return (
        size(entry.size_bytes or (fetch.total_bytes or 0) if fetch else entry.size_bytes),
        state,
        entry.sha256[:12],
        f"{entry.name} ({entry.host})",
        until or (fetch.reason if fetch is not None else ""),
    )
