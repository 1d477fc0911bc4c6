"""The WSGI application: `create_app` for gunicorn, and the commands of `flask --app app`. Importing it does nothing."""

import logging
from typing import Any

import click
from flask import Flask

from image_cache import logs
from image_cache.bootstrap import ensure_directories
from image_cache.cli.group import Application, LazyGroup
from image_cache.cli.main import CONTENT, FILES, STORAGE, STREAMS, USERS
from image_cache.config import Settings, load_settings
from image_cache.db.database import DatabaseError
from image_cache.errors import CacheError
from image_cache.services import Services, open_services
from image_cache.web.app import build_app

# The documented commands of `flask --app app`: those of `vinylvault` under their older names.
GROUPS = {
    "albums": (
        "Manage records.",
        {
            "import": (f"{CONTENT}.records:import_records", "Import records from a CSV or JSON file."),
            "import-original": (
                f"{CONTENT}.records:import_legacy_records",
                "Import the vinylvault.db of the original VinylVault.",
            ),
            "export": (f"{CONTENT}.records:export_records", "Export all records to a CSV or JSON file."),
            "sync": (f"{CONTENT}.imports:sync", "Sync your Discogs collection."),
            "discogs": (f"{CONTENT}.imports:discogs", "Show the Discogs connection."),
            "scan": (f"{CONTENT}.imports:scan", "Scan the music folders."),
            "remove": (f"{CONTENT}.records:remove_records", "Remove records."),
        },
    ),
    "users": ("Manage accounts.", USERS),
    "files": ("Manage cached large files.", FILES),
    "streams": ("Manage image streams.", {**STREAMS, "selftest": STREAMS["check"]}),
    "storage": ("Check the storage of original images.", {**STORAGE, "doctor": STORAGE["check"]}),
}


def create_app(settings: Settings | None = None) -> Flask:
    """Open the vault and return the application on top of it.

    Without settings they come from the environment. Threads start with the first request, or with `services.start()`; the caller
    closes `app.extensions["vinylvault"]`. Raises `ConfigError`, `StorageError` or `DatabaseError`; as a command of `flask`, a
    message and exit status 1.
    """
    is_command = click.get_current_context(silent=True) is not None
    if is_command:
        logs.to_stderr(logging.WARNING)
    try:
        return application(initialize_image_cache_if_needed(settings))
    except (CacheError, DatabaseError) as error:
        if is_command:
            raise click.ClickException(str(error)) from error
        raise


def initialize_image_cache_if_needed(settings: Settings | None = None) -> Services:
    """Open the cache and everything beside it, at the start of the application."""
    settings = settings or load_settings()
    ensure_directories(settings)
    return open_services(settings)


def application(services: Services) -> Flask:
    """Return the application on services that are open, with its commands."""
    app = build_app(services)
    for name, (help, commands) in GROUPS.items():
        app.cli.add_command(AppCommands(Application(app, services), name, {"Commands": commands}, help=help))
    return app


class AppCommands(LazyGroup):
    """A group of `flask --app app`: its commands use the services of the application."""

    def __init__(self, host: Application, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._host = host

    def invoke(self, ctx: click.Context) -> Any:
        ctx.obj = self._host
        return super().invoke(ctx)
