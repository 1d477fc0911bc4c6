"""`preload` of the other two caches: the missing sizes of stream images, and the missing files of the registries."""

from image_cache.cli.context import CommandContext
from image_cache.cli.services import opened_services
from image_cache.errors import CacheError
from image_cache.files.batch import BatchProgress, FileBatch
from image_cache.files.registries.registry import RegistryFile
from image_cache.streams import StreamImageCache
from image_cache.streams.table import StreamTable
from image_cache.streams.variant_sets import SETS
from image_cache.units import counted, size


def fill_streams(context: CommandContext) -> int:
    """Render every size of every stream image that is not cached, here: the originals are on this machine or in its storage."""
    out = context.out
    done, failed = 0, dict[str, str]()
    with opened_services(context, may_create=False) as services:
        table = StreamTable(services.catalog)
        images = [image for stream in table.streams() for image in table.images(stream.id)]
        stored = services.vault.streams.variants_of
        names = {image.image_id: stored([StreamImageCache.key(image.image_id).digest]) for image in images}
        for number, image in enumerate(images):
            have = next(iter(names[image.image_id].values()), set())
            try:
                for sizes in SETS:
                    if not have.issuperset(sizes):
                        made = [services.stream_images.body(image, variant) is not None for variant in sizes]
                        done += sum(made)
                        if not all(made):
                            failed[image.image_id] = "its original is missing or cannot be decoded"
            except CacheError as error:
                failed[image.image_id] = str(error)
            out.bar(number + 1, len(images), f"{number + 1:,} of {counted(len(images), 'image')}")
    out.end_bar()
    for image_id, reason in failed.items():
        out.note(f"image {image_id[:8]}: {reason}")
    out.line(f"{counted(done, 'stream image')} rendered, {len(failed):,} failed.")
    out.json({"total": len(images), "done": done, "failed": len(failed)})
    return 1 if failed else 0


def fill_files(context: CommandContext) -> int:
    """Download the files of all registries that are not cached, two at a time."""
    out = context.out

    def draw(progress: BatchProgress) -> None:
        out.bar(progress.done, progress.total, f"{progress.done:,} of {progress.total:,} files, {size(progress.size_bytes)}")

    with opened_services(context, may_create=False) as services:
        files = services.files
        registries = files.groups.registries
        known = [file for name in registries.names() for file in registries.read(name).files.values()]
        files.cache.open()
        missing: list[RegistryFile] = [
            file for file in known if files.cache.index.find(files.cache.remote(file.urls[0]).digest) is None
        ]
        ended = FileBatch(files.cache, missing, draw).run()
    out.end_bar(is_done=not ended.failed)
    for name, reason in ended.failed.items():
        out.note(f"{name}: {reason}")
    out.line(f"{counted(ended.done, 'file')} downloaded, {size(ended.size_bytes)}; {len(ended.failed):,} failed.")
    out.json({"total": ended.total, "done": ended.done, "failed": len(ended.failed)})
    return 1 if ended.failed else 0
