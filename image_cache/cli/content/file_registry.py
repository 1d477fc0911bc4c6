"""`files registry add`, `list`, `show` and `rm`: names with checksums and URLs, as in pooch's registry files."""

from pathlib import Path

import click

from image_cache.cli.action_log import log_action
from image_cache.cli.command import VaultCommand
from image_cache.cli.content.files import opened_file_services
from image_cache.cli.context import CommandContext
from image_cache.errors import CacheError
from image_cache.files.paths import name_of
from image_cache.files.registries.registry import MAX_TEXT_BYTES
from image_cache.units import counted, size

NAME = click.argument("name")


@click.command("add", cls=VaultCommand)
@click.argument("source", metavar="FILE|URL")
@click.option("--name", default="", help="Name of the registry (default: that of the file).")
@click.option("--base-url", default="", metavar="URL", help="Base URL of lines without a URL.")
def add(context: CommandContext, source: str, name: str, base_url: str) -> int:
    """Add a registry, or replace the one of its name. Each line is `name sha256 url`; more URLs in a line are mirrors.

    Lines that name no file are listed with their number; the exit status is then 1.
    """
    with opened_file_services(context) as files:
        path = files.cache.get(source, is_forced=True) if "://" in source else Path(source)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_TEXT_BYTES + 1)
        except OSError as error:
            raise CacheError(f"{source}: {error.strerror}.") from error
        name = name or (name_of(source) if "://" in source else path.name)
        registry = files.groups.registries.add(name, data, base_url=base_url)
        log_action(context, "limits", "added a registry of files", registry.name)
    context.out.line(f"Added {registry.name} with {counted(len(registry.files), 'file')}.")
    for line in registry.bad:
        context.out.note(f"{registry.name}, {line}")
    return 1 if registry.bad else 0


@click.command("list", cls=VaultCommand)
def list_registries(context: CommandContext) -> None:
    """List the registries: how many of their files are cached, how many failed."""
    with opened_file_services(context) as files:
        groups = files.groups.all()
    context.out.table(
        ("Cached", "Files", "Failed", "Size", "Registry"),
        [
            (f"{group.done:,}", f"{group.total:,}", f"{group.count('failed'):,}", size(group.done_bytes), group.name)
            for group in groups
        ],
        right=(0, 1, 2, 3),
        aligned=(6, 6, 6, 9),
    )


@click.command("show", cls=VaultCommand)
@NAME
def show(context: CommandContext, name: str) -> None:
    """List the files of a registry with their state, and the lines that name none."""
    with opened_file_services(context) as files:
        group = files.groups.one(name)
    context.out.table(
        ("State", "SHA-256", "File", "URL"),
        [
            (member.state, member.file.sha256[:12], member.file.name, member.file.urls[0].partition("?")[0])
            for member in group.members
        ],
        aligned=(8, 12, 30),
    )
    for line in group.bad_lines:
        context.out.note(f"{name}, {line}")


@click.command("rm", cls=VaultCommand)
@NAME
def remove(context: CommandContext, name: str) -> None:
    """Remove a registry. Its files stay in the cache."""
    with opened_file_services(context) as files:
        files.groups.registries.remove(name)
        log_action(context, "deletions", "removed a registry of files", name)
    context.out.line(f"Removed {name}. Its files stay in the cache.")
