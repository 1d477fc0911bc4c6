"""Commands of `flask --app app files`: get, list, verify, import. Each calls the file cache and tells what happened."""

import datetime
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click
from flask.cli import AppGroup

from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError, OriginError
from image_cache.files.cache import FileCache
from image_cache.files.legacy_import import import_layout
from image_cache.files.listing import Entry, entries
from image_cache.web.context import services
from image_cache.web.template_helpers import size

files = AppGroup("files", help="Large remote files, kept on this machine.")


@files.command("get")
@click.argument("url")
@click.option("--sha256", default="", help="The checksum that the file must have.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Copy the file here as well.")
def get_file(url: str, sha256: str, output: Path | None) -> None:
    """Fetch the file of URL unless it is here and fresh, and print where it is. A cut fetch goes on where it was."""
    with _cache() as cache, _Bar("Fetching") as tell:
        path = cache.get(url, sha256=sha256, progress=tell)
    if output is not None:
        try:
            shutil.copyfile(path, output)
        except OSError as error:
            raise click.ClickException(f"{output}: {error.strerror}") from error
    click.echo(str(output or path))


@files.command("list")
def list_files() -> None:
    """Print what is kept and what is on its way."""
    with _cache() as cache:
        listed = entries(cache)
        _, used_bytes = cache.totals()
        budget_bytes = cache.limits().budget_bytes
    for entry in listed:
        click.echo("  ".join(_cells(entry)).rstrip())
    click.echo(f"{len(listed):,} {'file' if len(listed) == 1 else 'files'}, {size(used_bytes)} of {size(budget_bytes)}.")


@files.command("verify")
@click.option("--no-fetch", is_flag=True, help="Only say which files are corrupt, do not fetch them again.")
def verify_files(no_fetch: bool) -> None:
    """Read every file and compare it with its checksum. A corrupt one is fetched again; exit status 1 when one stays corrupt."""
    with _cache() as cache:
        cache.open()
        kept = cache.index.files()
        total = sum(one.size_bytes for one in kept)
        with click.progressbar(length=total, label="Verifying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            bad = [one for one in kept if not cache.verify(one, bar.update)]
        left = 0
        for one in bad:
            try:
                if no_fetch:
                    raise CacheError("not fetched again")
                with _Bar("Fetching") as tell:
                    cache.get(one.url, one.ttl_s, progress=tell)
                click.echo(f"{one.name}: was corrupt, fetched again")
            except CacheError as error:
                left += 1
                click.echo(f"{one.name}: corrupt, {_told(error)}", err=True)
    click.echo(
        f"{len(kept):,} files, {size(total)}: {len(kept) - len(bad):,} as they were, {len(bad) - left:,} fetched again, {left:,} corrupt."
    )
    if left:
        sys.exit(1)


@files.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
def import_files(folder: Path, dry_run: bool) -> None:
    """Take the files of FOLDER in, a cache that a `cache_metadata.json` describes. Each is copied, and compared with its hash."""
    with _cache() as cache:
        report = import_layout(cache, folder, dry_run=dry_run)
    would = "would be " if dry_run else ""
    click.echo(
        f"{report.read:,} files listed: {report.new:,} {would}taken in, {report.same:,} here already, {len(report.rejected):,} rejected."
    )
    for name, reason in report.rejected:
        click.echo(f"  {name}: {reason}", err=True)
    if report.read and len(report.rejected) == report.read:
        sys.exit(1)


@contextmanager
def _cache() -> Iterator[FileCache]:
    """Yield the cache; its errors become messages, and what is in memory is written at the end."""
    cache = services().files.cache
    try:
        yield cache
    except (CacheError, DatabaseError) as error:
        raise click.ClickException(_told(error)) from error
    finally:
        services().close()


class _Bar:
    """A progress bar on a terminal, from the moment on when the total is known; on anything else, silence."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: Any = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, total: int | None) -> None:
        if self._bar is None and total and sys.stderr.isatty():
            self._bar = click.progressbar(length=total, label=self._label, file=sys.stderr)
            self._bar.__enter__()
        if self._bar is not None:
            self._bar.update(done - self._done)
            self._done = done

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)


def _told(error: Exception) -> str:
    """Say what went wrong, with the address where the sentence does not have it."""
    sentence = str(error)
    return f"{error.url.partition('?')[0]}: {sentence}" if isinstance(error, OriginError) else sentence


def _cells(entry: Entry) -> tuple[str, ...]:
    fetch = entry.fetch
    state = entry.state if fetch is None else f"{fetch.state} {size(fetch.done_bytes)}"
    until = ""
    if entry.expires_at and fetch is None:
        until = "until " + datetime.datetime.fromtimestamp(entry.expires_at).astimezone().strftime("%Y-%m-%d %H:%M")
    reason = fetch.reason if fetch is not None else ""
    return (
        f"{size(entry.size_bytes or (fetch.total_bytes or 0) if fetch else entry.size_bytes):>9}",
        f"{state:<16}",
        entry.sha256[:12] or " " * 12,
        f"{entry.name} ({entry.host})",
        until or reason,
    )
