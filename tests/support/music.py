"""Music files with real tags, written by mutagen, and frames without sound: a few hundred bytes each."""

import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mutagen.apev2 import BINARY, APEv2, APEValue
from mutagen.asf import ASF, ASFByteArrayAttribute
from mutagen.asf._util import guid2bytes
from mutagen.dsf import DSF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, TALB, TCMP, TCON, TDRC, TIT2, TPE1, TPE2, TPOS, TPUB, TRCK, TXXX
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from image_cache.config import Settings
from image_cache.importers.music.images import MusicImages
from image_cache.importers.music.service import MusicService
from image_cache.models import Album
from image_cache.records.library import Library
from image_cache.tasks import TaskRunner
from tests.support.catalogs import catalog_at
from tests.support.clock import FakeClock
from tests.support.origin import jpeg

SECONDS = 180
FRAME = b"\xff\xfb\x90\x00" + b"\0" * 413  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 26 ms
PICTURE = jpeg(60, 60)


def mp3(frames: int = 40) -> bytes:
    return FRAME * frames


def flac(seconds: int = SECONDS, rate: int = 44100) -> bytes:
    facts = rate << 44 | 1 << 41 | 15 << 36 | seconds * rate  # two channels, 16 bits
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + facts.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + bytes([0x80]) + len(info).to_bytes(3, "big") + info


def vorbis(seconds: int = SECONDS, rate: int = 44100) -> bytes:
    head = b"\x01vorbis" + struct.pack("<IBIIIIBB", 0, 2, rate, 0, 128_000, 0, 0xB8, 1)
    comment = b"\x03vorbis" + struct.pack("<I", 4) + b"test" + struct.pack("<I", 0) + b"\x01"
    setup = b"\x05vorbis" + bytes(20)
    return _page([head], 0, 2, 0) + _page([comment, setup], 1, 0, 0) + _page([bytes(10)], 2, 4, seconds * rate)


def opus(seconds: int = SECONDS) -> bytes:
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48000, 0, 0)
    comment = b"OpusTags" + struct.pack("<I", 4) + b"test" + struct.pack("<I", 0)
    return _page([head], 0, 2, 0) + _page([comment], 1, 0, 0) + _page([bytes(10)], 2, 4, seconds * 48000)


def m4a(seconds: int = SECONDS) -> bytes:
    times = bytes(12) + struct.pack(">II", 1000, seconds * 1000)
    sample = atom(b"mp4a", bytes(6), b"\0\1", bytes(8), struct.pack(">HHII", 2, 16, 0, 44100 << 16), atom(b"free"))
    table = atom(b"stbl", atom(b"stsd", bytes(4), struct.pack(">I", 1), sample))
    media = atom(b"mdia", atom(b"mdhd", times, bytes(4)), atom(b"hdlr", bytes(8), b"soun", bytes(13)), atom(b"minf", table))
    movie = atom(b"moov", atom(b"mvhd", times, bytes(80)), atom(b"trak", media))
    return atom(b"ftyp", b"M4A \0\0\0\0M4A mp42") + movie + atom(b"mdat", bytes(16))


def wma(seconds: int = SECONDS) -> bytes:
    def part(guid: str, body: bytes) -> bytes:
        return guid2bytes(guid) + struct.pack("<Q", len(body) + 24) + body

    facts = bytes(40) + struct.pack("<QQQ", seconds * 10_000_000, 0, 0) + bytes(16)
    parts = part("8CABDCA1-A947-11CF-8EE4-00C00C205365", facts)
    head = guid2bytes("75B22630-668E-11CF-A6D9-00AA0062CE6C") + struct.pack("<QL", len(parts) + 30, 1) + b"\1\2"
    return head + parts + part("75B22636-668E-11CF-A6D9-00AA0062CE6C", bytes(26))


def ape(seconds: int = SECONDS, rate: int = 44100) -> bytes:
    return b"MAC " + struct.pack("<H", 3990) + bytes(50) + struct.pack("<IIIHHI", rate, rate, seconds, 16, 2, rate) + bytes(64)


def wavpack(seconds: int = SECONDS, rate: int = 44100) -> bytes:
    return b"wvpk" + struct.pack("<IHBBIIIII", 24, 0x410, 0, 0, seconds * rate, 0, rate, 1 | 9 << 23, 0) + bytes(64)


def musepack(seconds: int = SECONDS, rate: int = 44100) -> bytes:
    return b"MP+\x07" + struct.pack("<II", (seconds * rate + 576) // 1152, 0) + bytes(84)


def dsf(seconds: int = SECONDS, rate: int = 2_822_400) -> bytes:
    facts = struct.pack("<IIIIIIQII", 1, 0, 2, 2, rate, 1, seconds * rate, 4096, 0)
    parts = b"fmt " + struct.pack("<Q", 52) + facts + b"data" + struct.pack("<Q", 12 + 16) + bytes(16)
    return b"DSD " + struct.pack("<QQQ", 28, 28 + len(parts), 0) + parts


def atom(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + name + body


def _page(packets: list[bytes], number: int, flags: int, granule: int) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", granule, 7, number, 0) + bytes([len(lacing)]) + lacing
    page = head + b"".join(packets)
    sum_ = 0
    for byte in page:
        sum_ ^= byte << 24
        for _ in range(8):
            sum_ = (sum_ << 1 ^ 0x04C1_1DB7) & 0xFFFF_FFFF if sum_ & 0x8000_0000 else sum_ << 1 & 0xFFFF_FFFF
    return page[:22] + struct.pack("<I", sum_) + page[26:]


BARE = {
    ".mp3": mp3(),
    ".flac": flac(),
    ".ogg": vorbis(),
    ".opus": opus(),
    ".m4a": m4a(),
    ".wma": wma(),
    ".ape": ape(),
    ".wv": wavpack(),
    ".mpc": musepack(),
    ".dsf": dsf(),
}
_COMMENTS = {
    "track": "tracknumber",
    "disc": "discnumber",
    "catno": "catalognumber",
    "mbid": "musicbrainz_albumid",
}
_ID3: dict[str, Any] = {
    "title": TIT2,
    "artist": TPE1,
    "albumartist": TPE2,
    "album": TALB,
    "date": TDRC,
    "genre": TCON,
    "label": TPUB,
    "track": TRCK,
    "disc": TPOS,
    "compilation": TCMP,
}
_ID3_OWN = {"catno": "CATALOGNUMBER", "barcode": "BARCODE", "mbid": "MusicBrainz Album Id"}
_WMA = {
    "title": "Title",
    "artist": "Author",
    "albumartist": "WM/AlbumArtist",
    "album": "WM/AlbumTitle",
    "date": "WM/Year",
    "genre": "WM/Genre",
    "label": "WM/Publisher",
    "catno": "WM/CatalogNo",
    "barcode": "WM/Barcode",
    "mbid": "MusicBrainz/Album Id",
    "track": "WM/TrackNumber",
    "disc": "WM/PartOfSet",
    "compilation": "WM/IsCompilation",
}
_APE = {"albumartist": "Album Artist", "date": "Year", "catno": "CatalogNumber", "mbid": "MUSICBRAINZ_ALBUMID"}
_MP4 = {"title": "\xa9nam", "artist": "\xa9ART", "albumartist": "aART", "album": "\xa9alb", "date": "\xa9day", "genre": "\xa9gen"}
_MP4_OWN = {"label": "LABEL", "catno": "CATALOGNUMBER", "barcode": "BARCODE", "mbid": "MusicBrainz Album Id"}


def song(path: Path, *, picture: bytes | None = None, body: bytes | None = None, **tags: str) -> Path:
    """Write a music file with tags; its kind is that of its name. An image becomes its front cover."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if body is not None else BARE[path.suffix.lower()])
    if tags or picture is not None:
        {
            ".mp3": _tag_mp3,
            ".m4a": _tag_m4a,
            ".dsf": _tag_mp3,
            ".wma": _tag_wma,
            ".ape": _tag_ape,
            ".wv": _tag_ape,
            ".mpc": _tag_ape,
        }.get(path.suffix.lower(), _tag_comments)(path, tags, picture)
    return path


def _tag_mp3(path: Path, tags: Mapping[str, str], picture: bytes | None) -> None:
    file = (DSF if path.suffix.lower() == ".dsf" else MP3)(path)
    file.add_tags()
    for name, value in tags.items():
        file.tags.add(TXXX(3, _ID3_OWN[name], [value]) if name in _ID3_OWN else _ID3[name](3, [value]))
    if picture is not None:
        file.tags.add(APIC(3, "image/jpeg", 3, "", picture))
    if isinstance(file, DSF):
        file.tags.save(path)
    else:
        file.save(padding=lambda _: 0)


def _tag_wma(path: Path, tags: Mapping[str, str], picture: bytes | None) -> None:
    file = ASF(path)
    for name, value in tags.items():
        file[_WMA[name]] = [value]
    if picture is not None:
        mime, text = ("image/jpeg\0".encode("utf-16-le"), "\0".encode("utf-16-le"))
        file["WM/Picture"] = [ASFByteArrayAttribute(struct.pack("<BI", 3, len(picture)) + mime + text + picture)]
    file.save(padding=lambda _: 0)


def _tag_ape(path: Path, tags: Mapping[str, str], picture: bytes | None) -> None:
    file = APEv2()
    for name, value in tags.items():
        file[_APE.get(name, name)] = value
    if picture is not None:
        file["Cover Art (Front)"] = APEValue(b"cover.jpg\0" + picture, BINARY)
    file.save(path)


def _tag_m4a(path: Path, tags: Mapping[str, str], picture: bytes | None) -> None:
    file = MP4(path)
    for name, value in tags.items():
        if name in _MP4:
            file[_MP4[name]] = [value]
        elif name in _MP4_OWN:
            file[f"----:com.apple.iTunes:{_MP4_OWN[name]}"] = [MP4FreeForm(value.encode())]
        elif name == "compilation":
            file["cpil"] = value == "1"
        else:
            file["trkn" if name == "track" else "disk"] = [(int(value), 0)]
    if picture is not None:
        file["covr"] = [MP4Cover(picture, MP4Cover.FORMAT_JPEG)]
    file.save(padding=lambda _: 0)


def _tag_comments(path: Path, tags: Mapping[str, str], picture: bytes | None) -> None:
    file = {".flac": FLAC, ".opus": OggOpus}.get(path.suffix.lower(), OggVorbis)(path)
    for name, value in tags.items():
        file[_COMMENTS.get(name, name)] = value
    if picture is not None:
        block = Picture()
        block.type, block.mime, block.data = 3, "image/jpeg", picture
        if isinstance(file, FLAC):
            file.add_picture(block)
        else:
            import base64

            file["metadata_block_picture"] = base64.b64encode(block.write()).decode()
    file.save(padding=lambda _: 0)


def collection(root: Path, albums: int, tracks: int) -> None:
    """Make many albums quickly: a few files are tagged, and copied with other words of the same length in their tags.

    One in two has an image beside its tracks, one in four one in its tags, and the kinds take turns.
    """
    kinds = (".mp3", ".flac", ".ogg", ".m4a")
    models: dict[tuple[str, bool], bytes] = {}
    for suffix in kinds:
        for has_picture in (False, True):
            words = {"album": "ALBUM00000", "artist": "ARTIST0000", "title": "TITLE00000", "date": "1911"}
            made = song(root.parent / f"model{suffix}", picture=PICTURE if has_picture else None, **words)
            models[suffix, has_picture] = made.read_bytes()
            made.unlink()
    for number in range(albums):
        suffix = kinds[number % 4]
        artist, album = f"ARTIST{number // 8:04}", f"ALBUM{number:05}"
        folder = root / artist / album
        folder.mkdir(parents=True)
        model = models[suffix, number % 4 == 3 or number % 8 == 0]
        model = model.replace(b"ALBUM00000", album.encode()).replace(b"ARTIST0000", artist.encode())
        for track in range(tracks):
            body = model.replace(b"TITLE00000", f"T{number:05}-{track:03}".encode())
            (folder / f"{track + 1:02} - name.{suffix[1:]}").write_bytes(body)
        if number % 2:
            (folder / ("Cover.JPG", "folder.png", "FRONT.jpeg")[number % 3]).write_bytes(PICTURE)


class MusicShelf:
    """A catalogue, folders of music, and the scan: everything but covers and pages."""

    def __init__(self, folder: Path, *roots: Path, **settings: Any) -> None:
        self.clock = FakeClock()
        self.settings = Settings(DATA_DIR=folder / "vault", MUSIC_DIRS=tuple(map(str, roots)), **settings)
        self.settings.state_dir.mkdir(parents=True, exist_ok=True)
        self.catalog = catalog_at(self.settings.catalog_path)
        self.library = Library(self.catalog, clock=self.clock)
        self.on_register: Callable[[Iterable[str | None]], None] = lambda urls: None
        self.images = MusicImages(self.settings, self.catalog, self.clock)
        self.tasks = TaskRunner(self.catalog, self.catalog.locks(self.settings.state_dir), clock=self.clock)
        self.music = MusicService(
            self.settings,
            self.catalog,
            self.images,
            self.tasks,
            register=self._register,
            clock=self.clock,
        )

    def _register(self, urls: Iterable[str | None]) -> None:
        self.on_register(urls)

    def scan(self, **wanted: Any) -> dict[str, Any]:
        ended = self.tasks.run("music", wanted)
        assert ended.state == "done", ended.message
        return ended.outcome

    def albums(self) -> list[Album]:
        return list(self.library.albums())

    def album(self, title: str) -> Album:
        return next(album for album in self.albums() if album.title == title)

    def root(self) -> Any:
        return self.music.roots.known()[0]

    def close(self) -> None:
        assert self.tasks.close()
        self.music.close()
        self.catalog.close()
