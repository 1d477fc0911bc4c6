#!/usr/bin/env python3
"""Tries the cache: `python test_image_cache.py`. With pytest installed its tests of the cache, without it the self-test."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TESTS = ("cache", "covers", "disk", "flight", "imaging", "index", "jobs", "memory")

if __name__ == "__main__":
    if importlib.util.find_spec("pytest"):
        import pytest

        sys.exit(pytest.main(["-q", *(str(ROOT / f"tests/test_{name}.py") for name in TESTS), *sys.argv[1:]]))
    from cache_monitor import main

    sys.exit(main(["--action", "selftest"]))
