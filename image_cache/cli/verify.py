"""`verify`: everything that is kept is read and compared with what is known of it. With `--repair` what was found is mended."""

from image_cache.cli.context import CommandContext
from image_cache.errors import StorageError
from image_cache.maintenance.health import megabytes, things
from image_cache.maintenance.scrub.report import DAMAGES, OUTCOMES, ScrubReport

NAMED = 20


def verify(scene: CommandContext) -> int:
    """Exit status 0 when all is as it should be, or was mended; 1 when something is left."""
    scene.require("Catalogue", "Cache", "Files", "Rights")
    if not scene.settings.index_path.exists():
        raise StorageError(str(scene.settings.index_path), "there is no index yet; the service makes it when it starts")
    from image_cache.services import open_services

    services = open_services(scene.settings, clock=scene.clock)  # starts no thread
    try:
        total = services.scrub.total_bytes()

        def draw(report: ScrubReport) -> None:
            scene.out.bar(int(report.done * 1000), 1000, f"{megabytes(report.bytes)} read of {megabytes(total)}")

        report = services.scrub.run(repair=scene.wanted.is_repairing, progress=draw)
    finally:
        services.close()
    scene.out.end_bar()
    return _told(scene, report)


def _told(scene: CommandContext, report: ScrubReport) -> int:
    for damage in report.damages[:NAMED]:
        outcome = OUTCOMES.get(damage.outcome, "")
        scene.out.wrapped("", f"{damage.what}: {damage.where}/{damage.path}{' - ' + outcome if outcome else ''}")
    if report.found.total() > NAMED:
        scene.out.line(f"and {report.found.total() - NAMED:,} more")
    for note in report.notes:
        scene.out.wrapped("", note)
    said = ", ".join(f"{count:,} {kind} ({DAMAGES[kind]})" for kind, count in report.found.most_common() if kind in DAMAGES)
    read = f"{things(report.checked.total(), 'file')}, {megabytes(report.bytes)} read"
    scene.out.wrapped("", f"{read}: {said or 'all as they should be'}.")
    if report.found and not scene.wanted.is_repairing:
        scene.out.line("Nothing was changed. With --repair it is mended.")
    elif report.found:
        mended = report.found.total() - report.unmended
        scene.out.line(f"{mended:,} mended, {report.unmended:,} left as they are.")
    scene.out.json(report.to_dict())
    return 0 if report.is_clean else 1
