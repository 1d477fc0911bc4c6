"""`python -m image_cache.cli`: the same as `vinylvault`."""

import sys

from image_cache.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
