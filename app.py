"""The web application. `gunicorn "app:create_app()"` serves it, `flask --app app` runs its commands; importing it does nothing."""

import logging

import click
from flask import Flask

from config import Settings, load_settings
from image_cache import logs
from image_cache.bootstrap import ensure_directories
from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError
from image_cache.services import Services, open_services
from image_cache.web.app import build_app


def create_app(settings: Settings | None = None) -> Flask:
    """Open the vault and return the application on top of it.

    Without settings they come from the environment. Threads start with the first request, unless the server called `start` of
    `app.extensions["vinylvault"]` before; the caller closes that object in the end. Raises `ConfigError`, `StorageError` or `DatabaseError`; as a command of
    `flask`, a message and exit status 1.
    """
    is_command = click.get_current_context(silent=True) is not None
    if is_command:
        logs.to_stderr(logging.WARNING)
    try:
        services = initialize_image_cache_if_needed(settings)
        return build_app(services)
    except (CacheError, DatabaseError) as error:
        if is_command:
            raise click.ClickException(str(error)) from error
        raise


def initialize_image_cache_if_needed(settings: Settings | None = None) -> Services:
    """Open the cache and everything beside it, at the start of the application."""
    settings = settings or load_settings()
    ensure_directories(settings)
    return open_services(settings)
