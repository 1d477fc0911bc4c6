"""Draws sleeves and photographs for the process that started it: a file name a line on stdin, the image behind its length on stdout.

`python -m image_cache.demo.studio`. A name that is not in the demo is answered with nothing. It leaves when stdin ends.
"""

import os
import signal
import sys

from image_cache.demo.painting import paint
from image_cache.demo.photographs import draw_photograph, photographs
from image_cache.demo.records import pictures

LENGTH_BYTES = 4  # big-endian


def main() -> None:
    os.nice(5)  # drawing gives way to the pages that wait for it on the same machine
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one, and ends stdin
    known = pictures()
    for line in sys.stdin.buffer:
        name = line.decode("ascii", errors="replace").strip()
        if entry := known.get(name):
            body = paint(entry, png=name.endswith(".png"))
        elif photograph := photographs().get(name):
            body = draw_photograph(photograph)
        else:
            body = b""
        sys.stdout.buffer.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
