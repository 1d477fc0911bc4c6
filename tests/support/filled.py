"""A vault worth keeping: records that were played, people, a stream with images, an own cover, keys."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_cache.bootstrap import ensure_directories, secret_key
from image_cache.config import Settings
from image_cache.models import ImageVisibility
from image_cache.records.table import AlbumTable
from image_cache.services import Services, open_services
from image_cache.streams import Upload
from tests.support.origin import Origin, jpeg
from tests.support.plays import count_play
from tests.support.stage import photo


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(DATA_DIR=folder, FREE_SPACE_FLOOR_MB=0, IMAGE_CACHE_MAX_MEMORY_MB=16, **more)


@contextmanager
def vault_at(settings: Settings, *, is_running: bool = False) -> Iterator[Services]:
    ensure_directories(settings)
    services = open_services(settings)
    try:
        if is_running:
            services.start()
        yield services
    finally:
        services.close()


def shelve(services: Services, folder: Path, urls: list[str], start: int = 0) -> None:
    """Put records on the shelf as an import does."""
    table = folder / f"table-{start}.json"
    rows = [{"artist": f"Artist {start + n}", "title": f"Title {start + n}", "cover_url": url} for n, url in enumerate(urls)]
    table.write_text(json.dumps(rows), encoding="utf-8")
    services.library.import_table(table)
    services.covers.register(services.library.cover_urls())


def fill(settings: Settings, origin: Origin, scratch: Path, *, records: int = 6, images: int = 3, edge_px: int = 40) -> None:
    """Make a vault worth keeping: records that were played, people, a stream with images, an own cover, a token."""
    urls = [origin.put(f"/{n}.jpg", jpeg(edge_px + n, edge_px, (n, 90, 20))) for n in range(records)]
    with vault_at(settings) as services:
        shelve(services, scratch, urls)
        for album in AlbumTable(services.catalog).all_albums():
            count_play(services.catalog, album.id, 1_700_000_000.0 + album.id)
        services.accounts.add("Vera", "correct horse", "operator")
        token = services.accounts.login("Vera", "correct horse", "192.168.1.2")
        assert services.accounts.account_for_session(token) is not None
        stream = services.streams.create_stream("An evening", "evening", owner=services.streams.members.viewer("Vera"))
        for seed in range(images):
            services.streams.uploads.store(stream, Upload(photo(seed), f"{seed}.jpg", ImageVisibility.PRIVATE, f"Title {seed}"))
        services._parts.own.store(photo(77))
        services.covers.enqueue_missing(urls)
        while services.loader.run_next():
            pass
    (settings.state_dir / "service_token").write_text("sesame")
    (settings.state_dir / "imports").mkdir()
    (settings.state_dir / "imports" / "Plätze & more.csv").write_text("artist,title\nA,B\n", encoding="utf-8")
    secret_key(settings.secret_key_path)


def copied(settings: Settings, folder: Path) -> Settings:
    shutil.copytree(settings.DATA_DIR, folder)
    return replace(settings, DATA_DIR=folder)
