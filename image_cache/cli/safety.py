"""`backup` and `restore` as actions: what they did, in words, with a bar while they do it."""

from image_cache.cli.context import CommandContext
from image_cache.errors import CacheError
from image_cache.maintenance.health import megabytes, things

NAMED = 10


def backup(scene: CommandContext) -> int:
    """Write a backup; into a folder one with the date in its name, of which the last `--keep` stay. 1 when something was missing."""
    from image_cache.maintenance.backup.create import back_up
    from image_cache.maintenance.backup.rotate import back_up_into

    wanted = scene.wanted
    if wanted.file is None:
        raise CacheError("backup needs a file: cache_monitor.py --action backup --file /media/usb/vault.tar")
    with_secrets, with_cache = wanted.has_secrets, wanted.is_full
    if wanted.is_folder or wanted.file.is_dir():
        report = back_up_into(
            scene.settings, wanted.file, keep=wanted.keep, secrets=with_secrets, full=with_cache, progress=scene.progress
        )
    else:
        report = back_up(scene.settings, wanted.file, secrets=with_secrets, full=with_cache, progress=scene.progress)
    scene.out.end_bar()
    cache = f", {things(report.cache_files, 'file')} of the cache" if with_cache else ""
    scene.out.wrapped(
        "",
        f"{megabytes(report.size_bytes)} written to {report.path}: the catalogue, {things(report.originals, 'original')},"
        f" {things(report.state_files, 'other file')} of the state, what is known of {things(report.covers, 'cover')}{cache}.",
    )
    if report.left_out:
        scene.out.wrapped("", f"Left out, because --secrets was not said: {', '.join(report.left_out)}.")
    _notes(scene, report.missing, report.damaged, report.notes)
    scene.out.json(report.to_dict())
    return 1 if report.missing or report.damaged or report.notes else 0


def restore(scene: CommandContext) -> int:
    """Put a backup in place. 1 when it names originals that it does not hold."""
    from image_cache.maintenance.backup.restore import restore as put_back

    wanted = scene.wanted
    if wanted.file is None:
        raise CacheError("restore needs a file: cache_monitor.py --action restore --file /media/usb/vault.tar")
    report = put_back(scene.settings, wanted.file, force=wanted.is_forced, progress=scene.progress)
    scene.out.end_bar()
    scene.out.wrapped(
        "",
        f"Restored, as it was on {report.made_at}: {things(report.albums, 'record')}, {things(report.plays, 'play')},"
        f" {things(report.accounts, 'account')}, {things(report.streams, 'stream')},"
        f" {things(report.images, 'image')} with {things(report.originals, 'original')}. Everybody logs in again.",
    )
    if report.aside:
        scene.out.wrapped("", f"What was there before is kept in {report.aside}.")
    _notes(scene, report.missing, [], report.notes)
    scene.out.wrapped("", "Start the service: sudo systemctl start vinylvault. Covers come back by themselves.")
    scene.out.json(report.to_dict())
    return 1 if report.missing else 0


def _notes(scene: CommandContext, missing: list[str], damaged: list[str], notes: list[str]) -> None:
    for word, names in (("Missing", missing), ("Damaged", damaged)):
        if names:
            rest = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            scene.out.wrapped("", f"{word} originals: {', '.join(names[:NAMED])}{rest}.")
    for note in notes[:NAMED]:
        scene.out.wrapped("", note)
