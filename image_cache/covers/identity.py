"""Identity of a cover URL: the image it leads to, whatever host, size or signature it has, and the best size to fetch.

A table of the services that covers come from. For an unknown host the exact URL is the identity. URL shapes are from developer
documentation and from URLs in public use; a URL that no rule matches falls back to the exact URL.
"""

import base64
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from image_cache.frozen import frozen
from image_cache.net.url import LOCAL_SCHEMES

MAX_DUMMY_PX = 40  # no cover is as small as this; a blank is 1, an icon 16 or 32
# Names that services give to the image they send when they have none; the star of Last.fm is known by its hash.
_DUMMY = re.compile(
    r"(?:^|[/_-])(?:spacer|blank|transparent|pixel|no[-_]?(?:cover|image|art|photo|picture)(?:[-_]?(?:available|found))?"
    r"|default[-_](?:release|album|cover)[a-z0-9_-]*|missing[-_](?:cover|art|image)|placeholder)\.(?:gif|png|jpe?g|webp|svg)$"
    r"|2a96cbd8b46e442fc41c2b86b821562f",
    re.IGNORECASE,
)


@frozen
class Identity:
    """`name` is the canonical identity, `url` the URL to fetch. `edge_px` is the edge that the URL promises, 0 if unknown.

    `is_settled` means that the bytes never change under this name, so that they need no revalidation.
    """

    name: str
    url: str
    edge_px: int = 0
    is_settled: bool = False


@frozen
class Rule:
    """Hosts (a name, or `.name` with all subdomains) and how to read their paths; `read` returns None if the shape does not match."""

    service: str
    hosts: tuple[str, ...]
    read: Callable[[str, str], Identity | None]

    def covers(self, host: str) -> bool:
        return any(host == name or (name.startswith(".") and host.endswith(name)) for name in self.hosts)


def identify(url: str) -> Identity:
    """Return what the URL means. Pure; never raises."""
    exact = url.split("#", 1)[0]
    if exact.partition(":")[0] in LOCAL_SCHEMES:  # the URL changes with the file
        return Identity(exact, exact, is_settled=True)
    try:
        parts = urlsplit(exact)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return Identity(exact, exact)
    if parts.scheme in ("http", "https") and port is None:
        for rule in RULES:
            if rule.covers(host) and (found := rule.read(parts.path, exact)):
                return found
    return Identity(exact, exact)


def is_dummy_address(url: str) -> bool:
    """Return True if a URL names the image that a service sends when it has none."""
    return _DUMMY.search(url.partition("?")[0].partition("#")[0]) is not None


def is_dummy_size(width: int, height: int) -> bool:
    """Return True if an image is too small to be a cover."""
    return max(width, height) <= MAX_DUMMY_PX


# A letter for what it shows (release, artist, label), an id, a time, a serial number. In old URLs a size comes first.
_DISCOGS_NAME = re.compile(r"/([A-Z])-(?:(50|90|150)-)?(\d+-\d{9,10}(?:-\d+)?\.(?:jpe?g|png|gif|webp))")
_DISCOGS_SIZE = re.compile(r"/[hw]:(\d{2,4})(?=/)|/(\d{2,4})x(\d{2,4})(?=/)")


def _discogs(path: str, url: str) -> Identity | None:
    """The file in the image store: in clear in old URLs, base64 with slashes strewn in (`czM6Ly9…`) in new ones."""
    edges = [int(edge) for sizes in _DISCOGS_SIZE.findall(path) for edge in sizes if edge]
    store = path.find("/czM6Ly9")  # "s3://"
    text = path
    if store >= 0:
        packed = path[store:].replace("/", "").partition(".")[0]
        try:
            text = "/" + base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode("ascii")
        except ValueError:  # not base64, or not of ASCII
            return None
    name = _DISCOGS_NAME.search(text)
    if name is None:
        return None
    edge_px = max(edges, default=0) or int(name[2] or 0)
    return Identity(f"discogs:{name[1]}-{name[3]}", url, edge_px, is_settled=True)


def _cover_art_archive(path: str, _: str) -> Identity | None:
    """`/release/ID/front-250` and `/release/ID/1234-500.jpg`: the number after the hyphen is only a size."""
    shape = re.fullmatch(
        r"/(release|release-group)/([0-9a-f-]{36})/(front|back|\d+)(?:-(?:250|500|1200))?(?:\.(?:jpg|png|gif))?", path
    )
    if shape is None:
        return None
    kind, mbid, image = shape.groups()
    suffix = ".jpg" if image.isdigit() else ""  # originals may have 50 MB: 1200 px serve every variant
    url = f"https://coverartarchive.org/{kind}/{mbid}/{image}-1200{suffix}"
    return Identity(f"caa:{kind}/{mbid}/{image}", url, 1200, is_settled=image.isdigit())


def _internet_archive(path: str, _: str) -> Identity | None:
    """The store of the Cover Art Archive: `/download/mbid-ID/mbid-ID-1234_thumb500.jpg`, also below `/items/` on its nodes."""
    shape = re.search(r"/mbid-([0-9a-f-]{36})/mbid-\1-(\d+)(?:_thumb\d+|_itemimage)?\.(?:jpg|png|gif)$", path)
    if shape is None:
        return None
    url = f"https://coverartarchive.org/release/{shape[1]}/{shape[2]}-1200.jpg"
    return Identity(f"caa:release/{shape[1]}/{shape[2]}", url, 1200, is_settled=True)


def _mzstatic(path: str, _: str) -> Identity | None:
    """Apple's store: `/image/thumb/PATH/source/600x600bb.jpg`; host number, size, crop and format vary, PATH is the image."""
    shape = re.fullmatch(r"/image/thumb/(.+)/\d+x\d+[a-z-]*\d*\.(?:jpg|jpeg|png|webp)", path)
    if shape is None:
        return None
    return Identity(
        f"mzstatic:{shape[1]}", f"https://is1-ssl.mzstatic.com/image/thumb/{shape[1]}/1200x1200bb.jpg", 1200, is_settled=True
    )


def _lastfm(path: str, _: str) -> Identity | None:
    """`/i/u/300x300/HASH.png`: the hash is the image."""
    shape = re.fullmatch(r"/i/u/(?:[0-9a-z]+/)?([0-9a-f]{32})(?:\.(?:jpg|png|gif|webp))?", path)
    if shape is None:
        return None
    return Identity(f"lastfm:{shape[1]}", f"https://lastfm.freetls.fastly.net/i/u/770x0/{shape[1]}.jpg", 770, is_settled=True)


_YOUTUBE_SIZES = {"default": 120, "mqdefault": 320, "hqdefault": 480, "0": 480, "sddefault": 640, "maxresdefault": 1280}


def _youtube(path: str, _: str) -> Identity | None:
    """`/vi/ID/hqdefault.jpg`: the named sizes are one image, other names are other frames. hqdefault exists for every video."""
    shape = re.fullmatch(r"/(?:vi|vi_webp)/([\w-]{11})/(\w+)\.(?:jpg|webp)", path)
    if shape is None:
        return None
    video, name = shape.groups()
    if name not in _YOUTUBE_SIZES:
        return Identity(f"youtube:{video}/{name}", f"https://i.ytimg.com/vi/{video}/{name}.jpg")
    best = name if _YOUTUBE_SIZES[name] >= 480 else "hqdefault"
    return Identity(f"youtube:{video}", f"https://i.ytimg.com/vi/{video}/{best}.jpg", _YOUTUBE_SIZES[best])


def _bandcamp(path: str, _: str) -> Identity | None:
    """`/img/a0123456789_16.jpg`: the number after the underscore is a size, 10 is 1200 px."""
    shape = re.fullmatch(r"/img/(a?\d{6,12})_\d+\.(?:jpg|png|gif)", path)
    if shape is None:
        return None
    return Identity(f"bandcamp:{shape[1]}", f"https://f4.bcbits.com/img/{shape[1]}_10.jpg", 1200, is_settled=True)


RULES = (
    Rule("Discogs", ("i.discogs.com", "img.discogs.com", "s.pixogs.com", "api-img.discogs.com"), _discogs),
    Rule("Cover Art Archive", ("coverartarchive.org",), _cover_art_archive),
    Rule("Internet Archive", ("archive.org", ".archive.org"), _internet_archive),
    Rule("Apple", (".mzstatic.com",), _mzstatic),
    Rule("Last.fm", ("lastfm.freetls.fastly.net", "lastfm-img2.akamaized.net", "userserve-ak.last.fm"), _lastfm),
    Rule("YouTube", ("i.ytimg.com", "img.youtube.com", "i1.ytimg.com", "i2.ytimg.com", "i3.ytimg.com", "i4.ytimg.com"), _youtube),
    Rule("Bandcamp", (".bcbits.com",), _bandcamp),
)
