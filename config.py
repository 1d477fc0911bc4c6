"""A door to the settings: `from config import STREAM_IMAGES_DIR`; `python config.py` prints docs/SETTINGS.md. See `image_cache.config`."""

import sys

from image_cache import config
from image_cache.config import *  # noqa: F403  the names, for readers and type checkers

if __name__ == "__main__":
    print(config.settings_document(), end="")
else:
    sys.modules[__name__] = config  # settings are read when they are asked for
