"""Pages as a browser gets them, from a real server: what was typed stays text, addresses answer for themselves."""

import re
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from tests.support.vault import Vault

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><svg/onload=alert(1)>",
    "<!--<b>-->&lt;i&gt;",
    "{{ 7*7 }}{% raw %}",
    "</textarea><iframe src=javascript:alert(1)>",
    '" style="position:fixed" x="',
]


class Elements(HTMLParser):
    """Collects every element with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    rows: list[dict[str, object]] = [
        {
            "artist": text,
            "title": text,
            "label": text,
            "notes": text,
            "genre": text,
            "tracks": [{"position": "A1", "title": text}],
        }
        for text in HOSTILE
    ]
    rows += [{"artist": f"Artist {n:03}", "title": f"Title {n}", "year": 1960 + n % 40} for n in range(62)]
    with Vault(tmp_path_factory.mktemp("pages") / "vault") as vault:
        vault.import_albums(rows)
        yield vault


def page(vault: Vault, path: str, status: int = 200) -> str:
    reply = vault.get(path, Accept="text/html")
    assert reply.status == status
    return reply.body.decode()


def cookies(vault: Vault, path: str) -> str:
    """Return all Set-Cookie lines of an answer."""
    with urllib.request.urlopen(vault.url + path) as answer:
        return "\n".join(answer.headers.get_all("Set-Cookie") or [])


def numbers(html: str) -> list[str]:
    return re.findall(r'class="tile" href="/album/(\d+)"', html)


def test_nothing_that_was_typed_becomes_an_element_or_an_attribute(shelf: Vault) -> None:
    hostile = [path for n in range(1, len(HOSTILE) + 1) for path in (f"/album/{n}", "/", "/?sort=title", "/?page=2", "/sort")]
    searches = [
        "/search?q=alert",
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/?genre=%22%3E%3Cscript%3E",
        "/nowhere/%3Cscript%3E",
    ]
    for path in {*hostile, *searches}:
        reply = shelf.get(path, Accept="text/html")
        for tag, attributes in Elements(reply.body.decode()).found:
            assert tag not in ("iframe", "textarea", "i")
            assert not (tag == "script" and "src" not in attributes)
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            assert not (tag == "img" and attributes.get("src") == "x")


def test_pages_carry_no_inline_script_or_style_and_ask_for_no_other_host(shelf: Vault) -> None:
    for path in (
        "/",
        "/album/1",
        "/search?q=title",
        "/search?q=nothingofthekind",
        "/about",
        "/keys",
        "/sort",
        "/more",
        "/claim",
        "/nowhere",
    ):
        reply = shelf.get(path, Accept="text/html")
        for tag, attributes in Elements(reply.body.decode()).found:
            assert tag != "style"
            assert "style" not in attributes
            for name in ("src", "srcset", "href", "action"):
                if tag != "a":
                    assert "//" not in (attributes.get(name) or "").replace("http://www.w3.org", "")


def test_every_record_stands_on_exactly_one_page(shelf: Vault) -> None:
    one, two = numbers(page(shelf, "/")), numbers(page(shelf, "/?page=2"))
    assert len(one) == 60
    assert sorted(map(int, one + two)) == list(range(1, 71))


@pytest.mark.parametrize(
    ("path", "status", "names"),
    [
        ("/?page=3", 404, "Page 3 does not exist. The last page is 2"),
        ("/?page=0", 404, "“0”"),
        ("/?page=-1", 404, "“-1”"),
        ("/?page=²", 404, "“²”"),
        ("/?page=99999999999999999999", 404, "“99999999999999999999”"),
        ("/?sort=size", 400, "“size”"),
        ("/?decade=197", 400, "“197”"),
        ("/album/0", 404, "Record 0 does not exist"),
        ("/album/99999999999999999999999", 404, "Record 99999999999999999999999 does not exist"),
        ("/nowhere", 404, "Page not found"),
        ("/tint/400-10.css", 404, ""),
        ("/tint/120-99.css", 404, ""),
        ("/assets/0/../../config.py", 404, ""),
    ],
)
def test_an_address_that_means_nothing_says_what_is_wrong(shelf: Vault, path: str, status: int, names: str) -> None:
    from urllib.parse import quote

    assert names in page(shelf, quote(path, safe="/?=&%."), status)


def test_assets_are_kept_forever_under_the_mark_of_their_contents(shelf: Vault) -> None:
    html = page(shelf, "/")
    for address in {*re.findall(r'(?:href|src)="(/assets/[^"]+)"', html)}:
        reply = shelf.get(address)
        assert reply.status == 200
        assert "immutable" in reply.headers["cache-control"]
        other = re.sub(r"/assets/[0-9a-f]+/", "/assets/00000000/", address)
        assert shelf.get(other).headers["cache-control"] == "no-cache"


def test_a_tint_is_a_function_of_its_address(shelf: Vault) -> None:
    reply = shelf.get("/tint/045-08.css")
    assert reply.body == b":root{--tint-h:45;--tint-c:0.08}\n"
    assert reply.headers["content-type"].startswith("text/css")
    assert "immutable" in reply.headers["cache-control"]


def test_the_chosen_size_is_remembered_and_an_unknown_one_is_not(shelf: Vault) -> None:
    assert "density=s" in cookies(shelf, "/?density=s")
    assert 'class="records density-s"' in shelf.get("/", Cookie="density=s").body.decode()
    assert "density=" not in cookies(shelf, "/?density=xxl")
    assert 'class="records density-m"' in shelf.get("/", Cookie="density=xxl").body.decode()


def test_a_browser_that_spares_data_is_offered_the_small_picture_only(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Vault(tmp_path_factory.mktemp("save") / "vault") as vault:
        vault.import_albums([{"artist": "A", "title": "B", "cover_url": "http://covers.invalid/1.jpg"}])
        assert "thumbnails-2x" in page(vault, "/")
        assert "thumbnails-2x" not in vault.get("/", **{"Save-Data": "on"}).body.decode()


def test_an_empty_vault_says_how_to_begin(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Vault(tmp_path_factory.mktemp("empty") / "vault") as vault:
        html = page(vault, "/")
        assert "Nothing on the wall yet" in html
        for path in ("/import/table", "/import/demo"):
            assert f'href="{path}"' in html
        assert 'action="/claim"' in html
        assert html.count('<span class="lamp') == 4
        assert vault.get("/search?q=x").status == 200
        assert vault.get("/random").status == 200
