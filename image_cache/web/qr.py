"""QR codes as inline SVG, for links that are opened with a phone."""

from markupsafe import Markup

QUIET = 4  # modules of white around the code, as ISO/IEC 18004 requires


def qr_code(text: str, name: str) -> Markup:
    """Draw a QR code of a text, black on white in every colour scheme. `name` is what a screen reader says."""
    import segno  # 60 ms and 1 MB, for a page that is opened a few times a year

    rows = segno.make(text, error="m", micro=False).matrix
    runs = [f"M{x} {y}h{length}v1h-{length}z" for y, row in enumerate(rows) for x, length in _runs(row)]
    edge = len(rows) + 2 * QUIET
    return Markup(
        '<svg class="qr" viewBox="-{0} -{0} {1} {1}" role="img" aria-label="{2}" shape-rendering="crispEdges">'
        '<path fill="#fff" d="M-{0} -{0}h{1}v{1}h-{1}z"/><path fill="#000" d="{3}"/></svg>'
    ).format(QUIET, edge, name, "".join(runs))


def _runs(row: bytearray) -> list[tuple[int, int]]:
    """Return (start, length) of the dark runs of a row."""
    found: list[tuple[int, int]] = []
    for x, module in enumerate(row):
        if not module:
            continue
        if found and sum(found[-1]) == x:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((x, 1))
    return found
