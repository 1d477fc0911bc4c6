"""The collection as one file: whole, small, and without anything that visitors may not see."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from image_cache.records.take_along import MAX_BYTES
from tests.support.inside import Inside
from tests.support.origin import Origin, jpeg

ROW = re.compile(r"<li>(.*?)</li>")
WEBP = re.compile(r'src="data:image/webp;base64,([^"]+)"')


def import_rows(inside: Inside, rows: list[str]) -> None:
    table = inside.folder.parent / "records.csv"
    table.write_text("\n".join(["artist,title,year,label,catno,notes,cover_url", *rows]) + "\n", encoding="utf-8")
    inside.services.library.import_table(table)


def test_the_file_has_every_record_with_its_cover_or_a_drawn_sleeve(inside: Inside, origin: Origin, tmp_path: Path) -> None:
    cover = origin.put("/1.jpg", jpeg(640, 640, (200, 30, 30)))
    secret = "paid 40 GBP and hidden behind the sofa"
    import_rows(
        inside,
        [
            f"Björk,Debut,1993,One Little Indian,TPLP 31,{secret},{cover}",
            "<script>alert(1)</script>,</li><b>x,1970,A & B,,,",
            "Zoe,Last,,,,,http://192.168.1.9/private.jpg",
        ],
    )
    inside.cover(origin, "/1.jpg")
    path = tmp_path / "records.html"
    written = inside.services.take_along.write(path)
    html = path.read_text(encoding="utf-8")
    assert (written.records, written.covers, written.size) == (3, 1, path.stat().st_size)
    rows = ROW.findall(html)
    assert len(rows) == 3
    assert [("lettered" in row, "<img" in row) for row in rows] == [(False, True), (True, False), (True, False)]
    assert "<b>Björk</b><span>Debut</span></p><i>1993<br>One Little Indian TPLP 31</i>" in rows[0]
    assert base64.b64decode(WEBP.search(rows[0])[1])[8:12] == b"WEBP"  # type: ignore[index]
    assert "&lt;script&gt;alert(1)" in rows[1]
    assert html.count("<script") == 1
    for hidden in (secret, "192.168", "sofa", str(cover)):
        assert hidden not in html


def test_the_wantlist_goes_along_without_its_notes(inside: Inside, tmp_path: Path) -> None:
    import_rows(inside, ["Artist,Title,1970,Label,,,"])
    path = tmp_path / "records.html"
    inside.services.take_along.write(path)
    assert "Wantlist" not in path.read_text(encoding="utf-8")
    inside.services.library.wants.type(
        {"artist": "Soft <Tide>", "title": "Low Water", "label": "Stern", "notes": "up to a secret"}
    )
    written = inside.services.take_along.write(path)
    html = path.read_text(encoding="utf-8")
    records, wants = html.split("<h2>Wantlist<small>1</small></h2>")
    assert written.records == 1
    assert "<b>Artist</b>" in records
    row = re.findall(r'<li class="w">(.*?)</li>', wants)[0]
    assert "<b>Soft &lt;Tide&gt;</b><span>Low Water</span></p><i>Stern</i>" in row
    assert 'class="drawn' in row
    assert "secret" not in html


class Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]


def test_three_thousand_records_are_below_five_megabytes_and_ask_for_nothing(inside: Inside, tmp_path: Path) -> None:
    import_rows(
        inside, [f"Artist Number {n} and the Others,A Title of Some Length {n},1970,A Label,CAT {n},," for n in range(3000)]
    )
    path = tmp_path / "records.html"
    written = inside.services.take_along.write(path)
    assert written.records == 3000
    assert 1_000_000 < written.size <= MAX_BYTES
    page = Addresses()
    page.feed(path.read_text(encoding="utf-8"))
    assert page.found == []


def test_a_page_makes_the_file_and_offers_it(inside: Inside) -> None:
    import_rows(inside, ["Artist,Title,1970,Label,,,"])
    client = inside.logged_in()
    assert client.get("/take-along/records.html").status_code == 404
    assert "Download" not in client.get("/take-along").text
    inside.services.tasks.serve()
    from tests.support.inside import page_token

    assert client.post("/take-along", headers={"X-CSRFToken": page_token(client)}).status_code == 303
    assert "Download the file" in client.get("/take-along").text
    answer = inside.stranger().get("/take-along/records.html")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=records-")
    assert "<b>Artist</b>" in answer.text


def test_a_disk_that_refuses_leaves_the_old_file(inside: Inside, tmp_path: Path) -> None:
    path = tmp_path / "there" / "records.html"
    with pytest.raises(OSError, match="No such file"):
        inside.services.take_along.write(path)
