"""Style sheets and scripts: each area has its own, a page loads no others, and what a script imports is preloaded."""

import posixpath
import re
from pathlib import Path

import pytest

from image_cache.web.assets import SHEET_IMPORT, imported_modules, preload, script, stylesheet
from image_cache.web.context import STATIC_DIR, TEMPLATE_DIR
from tests.support.inside import Inside

EVERY_PAGE = {"css/tokens.css", "style.css", "css/components.css", "app.js"}
OWNERS = {
    "wall": "records",
    "cache_controls": "files",
    "task": "",
    "streams": "streams",
}  # parts of templates, and whose sheets they load
CALL = re.compile(r"{{ (?:stylesheet|script|preload)\(([^)]*)\) }}")
BREAKPOINTS = {
    *(("max-width", "640"), ("min-width", "641")),
    *(("max-width", "960"), ("min-width", "961")),
    *(("max-height", "512"), ("min-height", "513")),
    ("max-width", "1200"),
}
SPACING = re.compile(
    r"(?<![\w-])(?:(?:margin|padding|gap|row-gap|column-gap|scroll-margin|scroll-padding)(?:-[a-z-]+)?|--gap)\s*:\s*([^;]+);"
)
HAIRLINE_PX = {"0", "1"}
AREAS_OF_SHEETS = {  # sheets of single pages of an area
    **dict.fromkeys(("crates", "edit", "merge", "now", "select", "wants"), "records"),
    "operator": "admin",
    "kiosk": "streams",
    "share": "streams",
}
# The charts and tables of the dashboard, the line of a task, the table of links.
BORROWED = {"stats": {"admin"}, "take_along": {"imports"}, "tokens": {"streams"}}

# What is taken along is one file without the sheets of the pages.
SHEETS = [path for path in STATIC_DIR.rglob("*.css") if not {"vendor", "take_along"} & set(path.parts)]
SCRIPTS = [STATIC_DIR / "app.js", *(STATIC_DIR / "js").rglob("*.js")]


def text_of(sheet: Path) -> str:
    return re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)


def area_of(name: str) -> str:
    """Return the area that a style sheet or script belongs to, empty for one that several areas use."""
    parts = name.split("/")
    area = parts[1] if name.startswith("js/") else parts[-1].removesuffix(".css") if len(parts) == 2 else ""
    return "" if area == "shared" else AREAS_OF_SHEETS.get(area, area)


@pytest.mark.parametrize("template", sorted(TEMPLATE_DIR.rglob("*.html")), ids=lambda path: path.stem)
def test_a_template_loads_the_style_sheets_and_scripts_of_its_own_area_only(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    named = {name for call in CALL.findall(text) for name in re.findall(r'"([^"]+)"', call)}
    assert 'rel="stylesheet" href="{{ asset' not in text
    assert all((STATIC_DIR / name).is_file() for name in named)
    if template.name == "base.html":
        assert named == EVERY_PAGE
        return
    own = OWNERS.get(template.stem, "") if template.parent.name == "parts" else template.parent.name
    borrowed = BORROWED.get(template.parent.name, set()) | BORROWED.get(template.stem, set())
    assert {area_of(name) for name in named} <= {own, "", *borrowed}
    assert not named & EVERY_PAGE


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_module_imports_modules_of_its_own_area_and_shared_ones_only(path: Path) -> None:
    name = path.relative_to(STATIC_DIR).as_posix()
    own = area_of(name) if name != "app.js" else ""
    targets = re.findall(r"""(?:from|import\()\s*["'](\.[^"']+)["']""", path.read_text(encoding="utf-8"))
    full = [posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) for target in targets]
    assert all((STATIC_DIR / target).is_file() for target in full)
    assert {area_of(target) for target in full} <= {own, ""}


def test_the_tags_of_a_script_preload_each_of_its_modules_once_and_name_it_last() -> None:
    tags = str(script("js/streams/stream.js", "js/streams/uploader.js")).split("\n")
    addresses = [re.search(r'"(/assets/[0-9a-f]{8}/[^"]+)"', tag)[1].split("/", 3)[3] for tag in tags]  # type: ignore[index]
    assert len(addresses) == len(set(addresses))
    assert addresses[-2:] == ["js/streams/stream.js", "js/streams/uploader.js"]
    assert {"js/shared/api.js", "js/streams/refresh.js", "js/streams/upload_row.js"} < set(addresses[:-2])
    assert all("modulepreload" in tag for tag in tags[:-2])
    assert "js/shared/cover_image.js" in imported_modules("js/records/wall.js"), "imported by a module that it imports"
    assert "js/shared/cover_image.js" in preload("js/shared/cover_loader.js")


def test_joined_sheets_are_the_sheets_in_their_order_and_name_files_that_exist(inside: Inside) -> None:
    client = inside.client()
    address = re.search(r'href="([^"]+)"', str(stylesheet("css/tokens.css", "style.css", "css/components/disc.css")))[1]  # type: ignore[index]
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.content_type == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["Cache-Control"]
    parts = (
        "css/tokens.css",
        *(f"css/base/{name}.css" for name in ("reset", "top_bar", "transition")),
        "css/components/disc.css",
    )
    texts = [(STATIC_DIR / name).read_text(encoding="utf-8") for name in parts]
    assert "@import" not in answer.text, "each would be a request of its own"
    places = [answer.text.index(text.rstrip()[-300:]) for text in texts]
    assert places == sorted(places)
    named = {url for url in re.findall(r'url\("([^"]+)"', answer.text) if not url.startswith(("data:", "#"))}
    assert len(named) >= 3
    folder = posixpath.dirname(address)
    for url in named:
        assert client.get(posixpath.normpath(posixpath.join(folder, url))).status_code == 200, url
    assert client.get(address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert client.get(address, headers={"Accept-Encoding": "gzip"}).headers["Content-Encoding"] == "gzip"
    assert client.get(address.replace(address.split("/")[2], "0" * 8)).headers["Cache-Control"] == "no-cache"


def test_a_divided_sheet_is_a_list_of_all_the_sheets_in_its_folder() -> None:
    """A rule in a sheet that no list names would style nothing; one in the list itself would stand outside of the order."""
    listed: list[str] = []
    for sheet in SHEETS:
        found = SHEET_IMPORT.findall(sheet.read_text(encoding="utf-8"))
        if found:
            assert re.sub(r'@import "[^"]+";', "", text_of(sheet)).strip() == "", sheet.name
            listed += [(sheet.parent / name).relative_to(STATIC_DIR).as_posix() for name in found]
    assert len(listed) == len(set(listed))
    named = {
        name
        for path in TEMPLATE_DIR.rglob("*.html")
        for name in re.findall(r'"(\w[\w/]*\.css)"', path.read_text(encoding="utf-8"))
    }
    by_scripts = {"css/components/lightbox.css", "css/components/keyboard.css"}
    assert {path.relative_to(STATIC_DIR).as_posix() for path in SHEETS} == {*listed, *named, *by_scripts}
    assert not named & set(listed)


@pytest.mark.parametrize(
    "names", ["nothing", "", "tokens-nothing", "-", "../app", "%2e%2e%2fapp", "css.tokens", "-".join(["tokens"] * 9), "x" * 5000]
)
def test_other_joined_sheets_do_not_exist(inside: Inside, names: str) -> None:
    assert inside.client().get(f"/assets/0/sheets/{names}.css").status_code == 404


def test_a_page_preloads_what_its_scripts_import_and_loads_nothing_of_other_areas(inside: Inside) -> None:
    inside.album()
    for path, own in (
        ("/", "records"),
        ("/album/1", "records"),
        ("/search?q=x", "records"),
        ("/streams", "streams"),
        ("/claim", ""),
    ):
        answer = inside.client().get(path)
        assert answer.status_code == 200
        page = answer.text
        scripts = re.findall(r'<script type="module" src="/assets/\w+/([^"]+)"', page)
        preloaded = re.findall(r'<link rel="modulepreload" href="/assets/\w+/([^"]+)"', page)
        imports = {module for name in scripts for module in imported_modules(name)}
        assert imports <= set(preloaded), path
        sheets = re.findall(r'<link rel="stylesheet" href="/assets/\w+/sheets/([^"]+)\.css"', page)
        assert sheets[0] == "tokens-style-components", path
        own_sheets = {f"css/{name.replace('.', '/')}.css" for joined in sheets[1:] for name in joined.split("-")}
        assert {area_of(name) for name in {*own_sheets, *scripts, *preloaded} - EVERY_PAGE} <= {own, ""}, path


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.stem)
def test_a_style_sheet_uses_the_four_breakpoints_and_the_scale_of_space(sheet: Path) -> None:
    text = text_of(sheet)
    queries = re.findall(r"@media([^{]*)", text)
    found = {(name, px) for query in queries for name, px in re.findall(r"(\w+-(?:width|height)):\s*(\d+)px", query)}
    assert found <= BREAKPOINTS
    if sheet.name == "tokens.css":
        return
    lengths = {px for value in SPACING.findall(text) for px in re.findall(r"([\d.]+)px", re.sub(r"calc\(\d+px \+", "", value))}
    assert lengths <= HAIRLINE_PX


def test_a_style_sheet_names_no_custom_property_that_is_declared_nowhere() -> None:
    texts = [text_of(sheet) for sheet in SHEETS]
    by_scripts = {name for path in SCRIPTS for name in re.findall(r'"(--[\w-]+)"', path.read_text(encoding="utf-8"))}
    declared = (
        {name for text in texts for name in re.findall(r"(--[\w-]+)\s*:", text)}
        | by_scripts
        | {
            "--tint-h",
            "--tint-c",
        }
    )  # /tint/<name>.css
    assert {name for text in texts for name in re.findall(r"var\((--[\w-]+)", text)} <= declared
