"""Privacy check for the command line: through the application that runs the command, or through one of its own."""

from collections.abc import Sequence

from flask import Flask, current_app

from image_cache.models import Stream
from image_cache.services import Services
from image_cache.web.app import build_app
from image_cache.web.streams.privacy_check import PrivacyReport, run_selftest


def check_streams(services: Services, streams: Sequence[Stream]) -> list[PrivacyReport]:
    """Check each of the streams as every kind of viewer."""
    app: Flask = current_app._get_current_object() if current_app else build_app(services)  # type: ignore[attr-defined]
    return [run_selftest(app, stream) for stream in streams]
