"""Every message that docs/reference/import-report.md shows is what a table with that fault gets."""

import re
from pathlib import Path

from image_cache.errors import ImportRejected, TableRejected
from image_cache.tables.read import read_table

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/import-report.md"
MESSAGE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
HEADER = "artist,title,year,rating,added,barcode,cover_url\n"
TABLES: tuple[str | bytes, ...] = (
    f"{HEADER},,1970,,,,\nAlone,,1970,,,,\nY,One,1972?,9,11/25/2021,7.24E+11,http://me:word@h.example/a.jpg\nY,Two,,,3/4/2021,,\n",
    "artist,title,Genre\nA,B,Jazz\n",
    f"artist,title\nY,{'long ' * 60}\nY,Two,more\n",
    "artist,title\nBj\x9ark,Caf\x8e\n".encode("latin-1"),
    'artist,title\nA,B\nA,"C\nD,E\n',
    f"artist,title\nA,{'x' * 140_000}\n",
    '[{"title":"A"},{"artist":""},{"title":"C"},{"title"',
    b"PK\x03\x04 a workbook",
    "artist,year\nA,1\n",
    "Artist,Album\nA,1\n",
    "listing_id,artist,title,label,catno,format,release_id,status,price\n1,A,B,,,,,,\n",
    "",
)


def test_every_message_of_the_page_is_given_by_a_table(tmp_path: Path) -> None:
    said: list[str] = []
    for content in TABLES:
        file = tmp_path / "table"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        try:
            for row in read_table(file):
                said += [row.reason] if isinstance(row, ImportRejected) else row.losses
        except TableRejected as error:
            said.append(str(error))
    documented = MESSAGE.findall(PAGE.read_text(encoding="utf-8"))
    assert len(documented) == 20
    assert [message for message in documented if not any(message in text for text in said)] == []
