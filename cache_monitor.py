#!/usr/bin/env python3
"""Looks after the cache: `python cache_monitor.py --action status|health|cleanup|report|monitor|...`; `--help` names them all."""

import sys

from image_cache.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
