#!/usr/bin/env python3
"""A door to the operator's commands: `python cache_monitor.py --action status|health|cleanup|report|monitor|...`."""

import sys

from image_cache.cli.cache_monitor import main

if __name__ == "__main__":
    sys.exit(main())
