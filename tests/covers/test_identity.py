"""What addresses mean, by shapes in public use: one image has one identity, whatever size, host or signature leads to it."""

import base64

import pytest

from image_cache.covers.identity import RULES, identify

MBID = "76df3287-6cda-33eb-8e9a-044b5e15ffdd"


def names(*urls: str) -> list[str]:
    return [identify(url).name for url in urls]


def discogs(signature: str, file: str, size: int = 600, quality: int = 90) -> str:
    """An address as the image server signs it: the store's path in base64, a slash after every sixteen characters."""
    packed = base64.urlsafe_b64encode(f"s3://discogs-database-images/{file}".encode()).decode().rstrip("=")
    strewn = "/".join(packed[at : at + 16] for at in range(0, len(packed), 16))
    return f"https://i.discogs.com/{signature}/rs:fit/g:sm/q:{quality}/h:{size}/w:{size}/{strewn}.jpeg"


SIGNED = (
    "https://i.discogs.com/wllaWMd5jPBEpXQK3oaLxy3Pz32qptU-8Ueh1IUGCpQ/rs:fit/g:sm/q:90/h:600/w:600/"
    "czM6Ly9kaXNjb2dz/LWRhdGFiYXNlLWlt/YWdlcy9SLTE4Mjk1/MDA5LTE2MTg0MTc0/NDctOTkyNC5qcGVn.jpeg"
)
CLEAR = (
    "https://img.discogs.com/JdMPRRfk9XngB5O9VdX62xpo3bw=/fit-in/600x600/filters:strip_icc():format(jpeg):mode_rgb():quality(90)"
    "/discogs-images/{}.jpg"
)


@pytest.mark.parametrize(
    ("url", "name", "edge_px"),
    [
        (SIGNED, "discogs:R-18295009-1618417447-9924.jpeg", 600),
        (
            "https://i.discogs.com/p0m8SdTvQcRL7PdbbYxLsqhhG8SM0w1DyQPFn0u9VRg/rs:fit/g:sm/q:90/h:406/w:400/"
            "czM6Ly9kaXNjb2dz/LWRhdGFiYXNlLWlt/YWdlcy9SLTc2MzU3/LTExNDE5Mzk3Njgu/anBlZw.jpeg",
            "discogs:R-76357-1141939768.jpeg",
            406,
        ),
        (
            "https://i.discogs.com/oKWJ70-YpIGeM8_24PvCJuHyTdRlW5vPxoMvnNcGMAc/rs:fit/g:sm/q:40/h:150/w:150/"
            "czM6Ly9kaXNjb2dz/LWRhdGFiYXNlLWlt/YWdlcy9MLTMwNjM3/MC0xNTU1MzUyMTI5/LTQ4ODkuanBlZw.jpeg",
            "discogs:L-306370-1555352129-4889.jpeg",
            150,
        ),
        (CLEAR.format("R-3775445-1343934326-6026.jpeg"), "discogs:R-3775445-1343934326-6026.jpeg", 600),
        (CLEAR.format("R-6892761-1474967457-4850.png"), "discogs:R-6892761-1474967457-4850.png", 600),
        (
            "https://img.discogs.com/w3E3o4nVVOhJxouF3H5AU_nDlYU=/600x795/smart/filters:strip_icc()/discogs-images/A-4537475-1447235370-2165.jpeg.jpg",
            "discogs:A-4537475-1447235370-2165.jpeg",
            795,
        ),
        ("http://s.pixogs.com/image/R-61786-1184615486.jpeg", "discogs:R-61786-1184615486.jpeg", 0),
        ("http://s.pixogs.com/image/R-50-2618004-1293522600.jpeg", "discogs:R-2618004-1293522600.jpeg", 50),
        ("http://s.pixogs.com/image/R-150-2618004-1293522600.jpeg", "discogs:R-2618004-1293522600.jpeg", 150),
        ("http://s.pixogs.com/image/R-90-1293522600-1234.jpeg", "discogs:R-90-1293522600-1234.jpeg", 0),  # release 90, no size
    ],
)
def test_discogs_means_the_file_in_its_store(url: str, name: str, edge_px: int) -> None:
    found = identify(url)
    assert (found.name, found.edge_px, found.url, found.is_settled) == (name, edge_px, url, True)


def test_discogs_signatures_rotate_and_the_picture_stays() -> None:
    file = "R-249508-1334592212-7310.jpeg"
    urls = [discogs(signature, file, size) for signature, size in (("aaaa", 600), ("bb-b_b", 600), ("cccc", 150))]
    assert len({*names(*urls, CLEAR.format(file))}) == 1
    assert names(discogs("aaaa", "R-249508-1334592212-7311.jpeg"))[0] not in names(*urls)


def test_discogs_files_of_every_length_are_read_back_from_base64() -> None:
    for number in (1, 12, 123, 1234, 12345, 123456, 1234567):
        file = f"R-{number}-1334592212.jpeg"
        assert identify(discogs("sig", file)).name == f"discogs:{file}"


@pytest.mark.parametrize(
    "url",
    [
        "https://img.discogs.com/4e860780db672a6b0038e39cd4613557f36e7df8/images/spacer.gif",
        "http://s.pixogs.com/images/record150.png",
        "https://i.discogs.com/sig/rs:fit/czM6Ly9!!!/broken.jpeg",
        "https://i.discogs.com/sig/rs:fit/czM6Ly9/8J-YgA.jpeg",
        "https://i.discogs.com/sig/rs:fit/czM6Ly9\u00e9.jpeg",
    ],
)
def test_a_discogs_shape_that_no_rule_knows_is_the_exact_address(url: str) -> None:
    assert (identify(url).name, identify(url).is_settled) == (url, False)


@pytest.mark.parametrize(
    ("url", "name", "fetched"),
    [
        (f"https://coverartarchive.org/release/{MBID}/front", f"caa:release/{MBID}/front", f"release/{MBID}/front-1200"),
        (f"http://coverartarchive.org/release/{MBID}/front-250", f"caa:release/{MBID}/front", f"release/{MBID}/front-1200"),
        (
            f"https://coverartarchive.org/release/{MBID}/829521842.jpg",
            f"caa:release/{MBID}/829521842",
            f"release/{MBID}/829521842-1200.jpg",
        ),
        (
            f"https://coverartarchive.org/release/{MBID}/829521842-500.jpg",
            f"caa:release/{MBID}/829521842",
            f"release/{MBID}/829521842-1200.jpg",
        ),
        (
            f"https://coverartarchive.org/release-group/{MBID}/front-500",
            f"caa:release-group/{MBID}/front",
            f"release-group/{MBID}/front-1200",
        ),
        (f"https://coverartarchive.org/release/{MBID}/back", f"caa:release/{MBID}/back", f"release/{MBID}/back-1200"),
    ],
)
def test_the_cover_art_archive_means_a_picture_of_a_release_and_is_asked_for_1200_px(url: str, name: str, fetched: str) -> None:
    found = identify(url)
    assert (found.name, found.url, found.edge_px) == (name, f"https://coverartarchive.org/{fetched}", 1200)


def test_a_front_may_be_replaced_and_a_numbered_picture_never_changes() -> None:
    assert not identify(f"https://coverartarchive.org/release/{MBID}/front").is_settled
    assert identify(f"https://coverartarchive.org/release/{MBID}/829521842.jpg").is_settled


@pytest.mark.parametrize(
    "url",
    [
        f"https://archive.org/download/mbid-{MBID}/mbid-{MBID}-829521842.jpg",
        f"https://archive.org/download/mbid-{MBID}/mbid-{MBID}-829521842_thumb500.jpg",
        f"http://ia800304.us.archive.org/5/items/mbid-{MBID}/mbid-{MBID}-829521842_thumb250.jpg",
        f"https://ia601403.us.archive.org/21/items/mbid-{MBID}/mbid-{MBID}-829521842_itemimage.png",
    ],
)
def test_the_store_behind_the_cover_art_archive_means_the_same_picture(url: str) -> None:
    assert identify(url).name == f"caa:release/{MBID}/829521842"


def test_other_things_of_the_internet_archive_are_their_exact_address() -> None:
    other = "https://archive.org/download/some-concert/cover.jpg"
    assert names(other) == [other]


APPLE = "Music115/v4/8e/b4/82/8eb48247-a6cc-6718-ddf7-afa2b5f7ae50/20UMGIM88869.rgb.jpg"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (f"https://is1-ssl.mzstatic.com/image/thumb/{APPLE}/400x400cc.jpg", APPLE),
        (f"https://is5-ssl.mzstatic.com/image/thumb/{APPLE}/1200x1200bb.jpg", APPLE),
        (f"https://is3-ssl.mzstatic.com/image/thumb/{APPLE}/600x600bf-60.jpg", APPLE),
        (f"http://is2.mzstatic.com/image/thumb/{APPLE}/100x100bb.webp", APPLE),
        (
            "http://is1.mzstatic.com/image/thumb/Music20/v4/23/c1/9e/23c19e53-783f-ae47-7212-03cc9998bd84/source/100x100bb.jpg",
            "Music20/v4/23/c1/9e/23c19e53-783f-ae47-7212-03cc9998bd84/source",
        ),
        (
            "https://is3-ssl.mzstatic.com/image/thumb/Music/d3/b7/ed/mzi.atjjtrae.jpg/1200x630bb.jpg",
            "Music/d3/b7/ed/mzi.atjjtrae.jpg",
        ),
    ],
)
def test_apple_means_the_path_of_the_picture(url: str, path: str) -> None:
    found = identify(url)
    assert found.name == f"mzstatic:{path}"
    assert found.url == f"https://is1-ssl.mzstatic.com/image/thumb/{path}/1200x1200bb.jpg"


@pytest.mark.parametrize(
    "url",
    [
        "https://lastfm.freetls.fastly.net/i/u/770x0/41ef2aab38184517a400b6193d61925d.jpg",
        "https://lastfm.freetls.fastly.net/i/u/300x300/41ef2aab38184517a400b6193d61925d.png",
        "https://lastfm.freetls.fastly.net/i/u/34s/41ef2aab38184517a400b6193d61925d.png",
        "https://lastfm.freetls.fastly.net/i/u/ar0/41ef2aab38184517a400b6193d61925d.jpg",
        "https://lastfm.freetls.fastly.net/i/u/770x0/41ef2aab38184517a400b6193d61925d.webp#41ef2aab38184517a400b6193d61925d",
        "https://lastfm-img2.akamaized.net/i/u/174s/41ef2aab38184517a400b6193d61925d.png",
    ],
)
def test_lastfm_means_the_hash(url: str) -> None:
    assert identify(url).name == "lastfm:41ef2aab38184517a400b6193d61925d"


@pytest.mark.parametrize(
    ("url", "fetched", "edge_px"),
    [
        ("https://i.ytimg.com/vi/dQw4w9WgXcQ/default.jpg", "hqdefault", 480),
        ("https://i.ytimg.com/vi/dQw4w9WgXcQ/mqdefault.jpg", "hqdefault", 480),
        ("https://img.youtube.com/vi/dQw4w9WgXcQ/0.jpg", "0", 480),
        ("https://i.ytimg.com/vi_webp/dQw4w9WgXcQ/sddefault.webp", "sddefault", 640),
        ("http://i3.ytimg.com/vi/dQw4w9WgXcQ/maxresdefault.jpg?sqp=-oaymwEC", "maxresdefault", 1280),
    ],
)
def test_youtube_means_the_video(url: str, fetched: str, edge_px: int) -> None:
    found = identify(url)
    assert (found.name, found.edge_px) == ("youtube:dQw4w9WgXcQ", edge_px)
    assert found.url == f"https://i.ytimg.com/vi/dQw4w9WgXcQ/{fetched}.jpg"
    assert not found.is_settled


def test_another_frame_of_a_video_is_another_picture() -> None:
    assert names("https://i.ytimg.com/vi/dQw4w9WgXcQ/2.jpg") == ["youtube:dQw4w9WgXcQ/2"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://f4.bcbits.com/img/a3559269778_10.jpg", "a3559269778"),
        ("https://f4.bcbits.com/img/a3559269778_16.jpg", "a3559269778"),
        ("https://t4.bcbits.com/img/a3559269778_2.png", "a3559269778"),
        ("https://f4.bcbits.com/img/0004181452_71.jpg", "0004181452"),
    ],
)
def test_bandcamp_means_the_number(url: str, name: str) -> None:
    found = identify(url)
    assert (found.name, found.url) == (f"bandcamp:{name}", f"https://f4.bcbits.com/img/{name}_10.jpg")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/cover.jpg",
        "https://example.org/cover.jpg?size=600",
        "https://evil-i.discogs.com.example.org/R-1-1334592212.jpeg",
        "https://eviltoolmzstatic.com/image/thumb/a/100x100bb.jpg",
        f"https://coverartarchive.org:8443/release/{MBID}/front",
        "ftp://i.discogs.com/image/R-61786-1184615486.jpeg",
        "https://user@example.org/x.jpg",
        "not an address",
        "",
    ],
)
def test_an_unknown_host_or_port_is_taken_at_its_word(url: str) -> None:
    found = identify(url)
    assert (found.name, found.url, found.edge_px, found.is_settled) == (url, url, 0, False)


def test_a_fragment_says_nothing_about_the_picture() -> None:
    assert identify("https://example.org/a.jpg#top").name == "https://example.org/a.jpg"


@pytest.mark.parametrize("url", ["http://a:99999/x", "http://[::1", "http://a:b/x", "http://[v1.x]/", "//", "https://", "\ud800"])
def test_no_string_is_too_strange(url: str) -> None:
    """A port beyond 65535 raised an error on every page that showed the record."""
    assert identify(url).name == url


def test_every_address_to_fetch_means_the_same_again() -> None:
    """Otherwise an image would change its identity with its first visit."""
    urls = [SIGNED, f"https://archive.org/download/mbid-{MBID}/mbid-{MBID}-1_thumb250.jpg"]
    urls += [f"https://is2-ssl.mzstatic.com/image/thumb/{APPLE}/60x60bb.jpg", "https://f4.bcbits.com/img/a3559269778_16.jpg"]
    urls += ["https://i.ytimg.com/vi/dQw4w9WgXcQ/default.jpg", f"http://coverartarchive.org/release/{MBID}/front-250"]
    urls += ["https://lastfm.freetls.fastly.net/i/u/34s/41ef2aab38184517a400b6193d61925d.png"]
    for url in urls:
        assert identify(identify(url).url).name == identify(url).name
    assert len({rule.service for rule in RULES}) == len(RULES)
