"""The words of Discogs: its CSV abbreviates what its API writes out. Both become the same formats and grades here."""

import re

_GRADE = re.compile(r".*\(([A-Z]{1,2}\+?)(?: or [^)]*)?\)")  # Near Mint (NM or M-)
_COUNTED = re.compile(r"(\d{1,3})x(.+)")
_VINYL = frozenset({"LP", '7"', '10"', '12"', "EP", "MiniAlbum", "Maxi"})  # a vinyl record unless another carrier is named
_SIZED = ("LP", '7"', '10"', '12"')  # what a number of discs is written in front of
_CARRIERS = frozenset(
    (
        "Vinyl",
        "CD",
        "Cassette",
        "CDr",
        "DVD",
        "Blu-ray",
        "SACD",
        "Shellac",
        "Flexi-disc",
        "Acetate",
        "Lathe Cut",
        "File",
        "Laserdisc",
    )
)
_LONG = {
    "Cass": "Cassette", "RE": "Reissue", "RM": "Remastered", "RP": "Repress", "Comp": "Compilation", "Ltd": "Limited Edition",
    "Num": "Numbered", "Dlx": "Deluxe Edition", "Promo": "Promo", "TP": "Test Pressing", "W/Lbl": "White Label", "Smplr": "Sampler",
    "S/Sided": "Single Sided", "Gat": "Gatefold", "Pic": "Picture Disc", "Unofficial": "Unofficial Release", "Mixed": "Mixed",
    "Maxi": "Maxi-Single", "MiniAlbum": "Mini-Album", "Quad": "Quadraphonic", "Club": "Club Edition", "Enh": "Enhanced",
    "Ste": "Stereo", "S/Edition": "Special Edition", "Box": "Box Set", "Mono": "Mono", "Transcription": "Transcription", "MP": "Mispress",
    "Flexi": "Flexi-disc", "Shellac": "Shellac", "Shape": "Shape", "Etch": "Etched", "P/Unofficial": "Partially Unofficial",
    "Copy Prot.": "Copy Protected", "RSD": "Record Store Day", "Jukebox": "Jukebox", "Ace": "Acetate", "Lathe": "Lathe Cut",
    "Reel": "Reel-To-Reel", "8-Trk": "8-Track Cartridge", "Multi": "Multichannel", "PartMixed": "Partially Mixed", "Ambi": "Ambisonic",
}  # fmt: skip


def short_grade(text: str) -> str:
    """Return the short form of a grade: NM for "Near Mint (NM or M-)". Any other text stays."""
    grade = _GRADE.fullmatch(text)
    return grade[1] if grade else text


def formats_of_csv(text: str) -> list[str]:
    """Return the formats of a cell such as `2xLP, Album, RE + CD` in the words of the API: Vinyl, 2xLP, Album, Reissue, CD."""
    found: list[str] = []
    for chunk in text.split(" + "):
        parts = [_written_out(part.strip()) for part in chunk.split(", ") if part.strip()]
        plain = {_without_count(part) for part in parts}
        if plain & _VINYL_WORDS and not plain & _CARRIERS:
            found.append("Vinyl")
        found += parts
    return list(dict.fromkeys(found))


def formats_of_api(name: str, quantity: int, descriptions: tuple[str, ...]) -> list[str]:
    """Return the formats of one entry of the API. A number of discs stands before the size, else before the carrier."""
    words = [word for word in (name, *descriptions) if word]
    if quantity > 1:
        counted = next((word for word in words if word in _SIZED), name)
        words = [f"{quantity}x{word}" if word == counted else word for word in words]
    return words


def _written_out(part: str) -> str:
    counted = _COUNTED.fullmatch(part)
    if counted:
        return (
            f"{int(counted[1])}x{_LONG.get(counted[2], counted[2])}" if int(counted[1]) > 1 else _LONG.get(counted[2], counted[2])
        )
    return _LONG.get(part, part)


def _without_count(part: str) -> str:
    counted = _COUNTED.fullmatch(part)
    return counted[2] if counted else part


_VINYL_WORDS = frozenset(_LONG.get(word, word) for word in _VINYL)
