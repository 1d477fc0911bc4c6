"""Wantlist at Discogs: read whole, then written at once. What cannot be read is said, and the sync of the collection goes on."""

from image_cache.covers import ImageCache
from image_cache.errors import ImportRejected, OriginError, SourceRefused
from image_cache.importers.discogs.client import DiscogsClient
from image_cache.importers.discogs.parse import SOURCE
from image_cache.importers.discogs.parse_wants import WantsPage
from image_cache.records.wants.wantlist import Wantlist
from image_cache.tasks.runner import Task
from image_cache.units import counted

MAX_PAGES = 200  # of a hundred


def read_wants(task: Task, client: DiscogsClient, account: str, wantlist: Wantlist, covers: ImageCache) -> str:
    """Read the wantlist of an account; return what came of it as a sentence, "" if there is nothing to say."""
    pages: list[WantsPage] = []
    try:
        while not pages or (len(pages) < pages[-1].pages and len(pages) < MAX_PAGES):
            task.progress(0, None, f"Wantlist, page {len(pages) + 1:,}")
            page = client.wants(account, len(pages) + 1)
            if page is None:  # the list has become a page shorter
                break
            pages.append(page)
    except (OriginError, SourceRefused) as error:
        task.check()
        return f"Could not read the wantlist: {error.reason.rstrip('.')}."
    rows = [(row, notes) for page in pages for row, notes in page.rows if not isinstance(row, ImportRejected)]
    listed = {release for page in pages for release in page.releases}
    # A list that changed while it was read may have moved a record to a page that was read already. Of an empty one nothing is taken
    # away, as of an empty collection.
    is_whole = bool(listed) and len({page.items for page in pages}) == 1 and len(listed) == pages[-1].items
    known = {row.source_id: (row, notes) for row, notes in rows}
    found = wantlist.sync([*known.values()], SOURCE, listed, is_whole=is_whole)
    covers.try_register([row.cover_url for row, _ in rows if row.cover_url])
    if not found.listed and not found.removed:
        return ""
    parts = [f"{found.new:,} new"] + ([f"{found.removed:,} removed"] if found.removed else [])
    return f"{counted(found.listed, 'record')} on the wantlist, {', '.join(parts)}."
