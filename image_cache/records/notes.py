"""Notes of one's own about a record."""

from image_cache.db.catalog import CatalogDatabase
from image_cache.errors import FieldRejected, UnknownAlbum
from image_cache.records.table import AlbumTable

MAX_CHARS = 5000


def write_notes(catalog: CatalogDatabase, album_id: int, text: str) -> str:
    """Keep notes; see `Library.write_notes`."""
    text = _plain(text)
    if len(text) > MAX_CHARS:
        raise FieldRejected("own_notes", f"These are {len(text):,} characters, {MAX_CHARS:,} fit.")
    albums = AlbumTable(catalog)
    with catalog.write() as conn:
        album = albums.album(album_id)
        if album is None:
            raise UnknownAlbum(album_id)
        albums.write_notes(conn, album, text)
    return text


def _plain(text: str) -> str:
    """Return typed text with our line ends, without control characters and half surrogates, without space around it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in text if char in "\n\t" or not _is_mute(char)).strip()


def _is_mute(char: str) -> bool:
    return char < " " or "\x7f" <= char < "\xa0" or "\ud800" <= char <= "\udfff"
