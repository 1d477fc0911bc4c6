"""From a record to the bytes of its picture. Pillow is loaded with the first one, so an idle origin stays small."""

from demo.records import Entry, picture_of

WORN = {"G+": 0.9, "VG": 0.5}  # how far the disc shows through, by the grade of the sleeve


def paint(entry: Entry, png: bool = False) -> bytes:
    """Return the encoded picture of a record. Takes some tenths of a second on a small machine."""
    from demo import sleeves

    catno, (width, height) = picture_of(entry)
    family, _, palette = entry.family.partition("/")
    subject = sleeves.Subject(entry.artist, entry.title, entry.label, catno, entry.year, WORN.get(entry.sleeve, 0.0))
    picture = sleeves.draw(subject, family, palette, max(width, height))
    if width != height:
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        picture = picture.crop((left, top, left + width, top + height))
    return sleeves.encoded(picture, png)
