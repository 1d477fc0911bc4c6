"""Registry files as pooch writes them: every bad line is named with its number, and none of the others is lost."""

from pathlib import Path

import pytest

from image_cache.errors import UnknownFile
from image_cache.files.registries.registry import BadRegistry, Registry, RegistryFile, RegistryFolder

A, B = "a" * 64, "b" * 64
TEXT = f"""\
# comment

one.nii.gz {A} https://example.org/1.nii.gz
"two words.nii" sha256:{B.upper()} https://example.org/2.nii https://mirror.example/2.nii
three.nii md5:{"0" * 32} https://example.org/3.nii
four.nii {"c" * 63} https://example.org/4.nii
five.nii md5:{"0" * 32},sha256:{A} https://example.org/5.nii
one.nii.gz {A} https://mirror.example/1.nii.gz
one.nii.gz {B} https://example.org/other.nii.gz
six.nii {A}
seven.nii {A} file:///etc/passwd
https://example.org/path/eight.bin
"nine {A} https://example.org/9
ten.nii {A} {B} https://example.org/10
"""


def test_the_lines_of_a_registry() -> None:
    registry = Registry.parse(TEXT)
    assert list(registry.files.values()) == [
        RegistryFile("one.nii.gz", A, ("https://example.org/1.nii.gz", "https://mirror.example/1.nii.gz")),
        RegistryFile("two words.nii", B, ("https://example.org/2.nii", "https://mirror.example/2.nii")),
        RegistryFile("five.nii", A, ("https://example.org/5.nii",)),
        RegistryFile("eight.bin", "", ("https://example.org/path/eight.bin",)),
    ]
    assert [(line.number, line.reason) for line in registry.bad] == [
        (5, "only SHA-256 checksums are supported"),
        (6, "a SHA-256 checksum has 64 hexadecimal digits (0-9, a-f)"),
        (9, "line 3 has the same name with another checksum"),
        (10, "no URL, and the registry has no base URL"),
        (11, "only http:// and https:// URLs are supported"),
        (13, "a quote is not closed"),
        (14, "expected `name sha256 url`"),
    ]


def test_several_urls_without_a_checksum_are_refused() -> None:
    registry = Registry.parse("https://example.org/x https://mirror.example/x")
    assert registry.files == {}
    assert "SHA-256" in registry.bad[0].reason


def test_a_base_url_completes_lines_and_is_kept(tmp_path: Path) -> None:
    folder = RegistryFolder(tmp_path / "registries")
    folder.add("set.txt", f"a/b.nii {A}\nbad\n".encode(), base_url="https://example.org/data/")
    kept = folder.read("set.txt")
    assert kept.files["a/b.nii"].urls == ("https://example.org/data/a/b.nii",)
    assert "bad" in kept.files  # a name alone, with the base URL
    assert kept.bad == []


def test_bad_lines_keep_their_number_and_their_text(tmp_path: Path) -> None:
    folder = RegistryFolder(tmp_path / "registries")
    folder.add("set.txt", TEXT.encode("utf-8-sig").replace(b"\n", b"\r\n"), base_url="https://example.org/")
    assert [line.number for line in folder.read("set.txt").bad] == [5, 6, 9, 11, 13, 14]
    assert b"three.nii md5:" in (tmp_path / "registries/set.txt").read_bytes()


def test_a_name_is_found_in_all_registries_and_never_guessed(tmp_path: Path) -> None:
    folder = RegistryFolder(tmp_path / "registries")
    folder.add("one", f"x {A} https://example.org/x\ny {A} https://example.org/y\n".encode())
    folder.add("two", f"x {A} https://example.org/x\ny {B} https://example.org/y\n".encode())
    assert folder.names() == ["one", "two"]
    assert folder.find("x").sha256 == A
    assert folder.find("y", "two").sha256 == B
    with pytest.raises(UnknownFile, match="one and two"):
        folder.find("y")
    with pytest.raises(UnknownFile, match="No registry has a file 'z'"):
        folder.find("z")
    folder.remove("one")
    assert folder.find("y").sha256 == B
    with pytest.raises(UnknownFile, match="There is no registry 'one'"):
        folder.read("one")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("../x", b"", "1 to 64 letters"),
        (".x", b"", "1 to 64 letters"),
        ("x", b"\n\nx \xff", "line 3 is not UTF-8"),
        ("x", b"# only a comment\n", "no line is"),
        ("x", b"<html>\n", "line 1: no URL"),
        ("x", b"a" * 4_000_001, "at most 4 MB"),
    ],
)
def test_what_is_no_registry_is_refused_and_replaces_nothing(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    folder = RegistryFolder(tmp_path / "registries")
    before = f"x {A} https://example.org/x\n".encode()
    folder.add("x", before)
    with pytest.raises(BadRegistry, match=said):
        folder.add(name, data)
    assert (tmp_path / "registries/x").read_bytes() == before
