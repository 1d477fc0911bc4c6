"""The command group `vinylvault`: which commands there are, and the start of the program."""

import time
from collections.abc import Callable, Sequence
from typing import TextIO

import click

from image_cache import __version__
from image_cache.cli.group import LazyGroup, run

NAME = "vinylvault"
CONTENT = "image_cache.cli.content"

USERS = {
    "add": (f"{CONTENT}.users:add", "Add an account; the password is read from standard input"),
    "list": (f"{CONTENT}.users:list_accounts", "List the accounts and their roles"),
    "remove": (f"{CONTENT}.users:remove", "Remove an account, its sessions and memberships"),
    "usage": (f"{CONTENT}.users:usage", "Show how much the streams of each account hold"),
    "quota": (f"{CONTENT}.users:quota", "Set how much the streams of an account may hold"),
    "password": (f"{CONTENT}.users:password", "Change a password and log out all sessions of the account"),
}
REGISTRY = {
    "add": (f"{CONTENT}.file_registry:add", "Add a registry file: name, sha256 and url in each line"),
    "list": (f"{CONTENT}.file_registry:list_registries", "List the registries"),
    "show": (f"{CONTENT}.file_registry:show", "List the files of a registry"),
    "rm": (f"{CONTENT}.file_registry:remove", "Remove a registry; its files stay"),
}
LOGIN = {
    "add": (f"{CONTENT}.file_logins:add", "Add the login of an origin; the secret is read from standard input"),
    "list": (f"{CONTENT}.file_logins:list_logins", "List the origins that have a login"),
    "rm": (f"{CONTENT}.file_logins:remove", "Remove the login of an origin"),
    "import": (f"{CONTENT}.file_logins:import_netrc", "Import the logins of a netrc file"),
}
FILES: dict[str, tuple[str, str] | click.Group] = {
    "get": (f"{CONTENT}.files:get", "Download a file, or all files of a registry"),
    "registry": LazyGroup(
        "registry", {"Commands": REGISTRY}, help="Manage registries: names with checksums and URLs.", short_help="Registries"
    ),
    "list": (f"{CONTENT}.files:list_files", "List cached files and running downloads"),
    "verify": (f"{CONTENT}.files:verify_files", "Verify every file against its checksum"),
    "login": LazyGroup("login", {"Commands": LOGIN}, help="Manage logins for origins.", short_help="Logins for origins"),
    "pin": (f"{CONTENT}.file_space:pin_files", "Pin files: they are never evicted"),
    "unpin": (f"{CONTENT}.file_space:unpin_files", "Unpin files: they can be evicted again"),
    "rm": (f"{CONTENT}.file_space:remove", "Remove files from the cache"),
    "prune": (f"{CONTENT}.file_space:prune_files", "Remove files unused for a time; --dry-run shows them"),
    "du": (f"{CONTENT}.file_space:disk_usage", "Show how much space the files of each origin take"),
    "link-folder": (f"{CONTENT}.file_space:link_folder", "Keep a folder of links with readable names"),
    "speed": (f"{CONTENT}.file_space:speed", "Show or change the speed limit of all downloads, and its hours"),
    "import": (f"{CONTENT}.files:import_files", "Import files from another cache"),
}
STREAMS = {
    "list": (f"{CONTENT}.streams:list_streams", "List streams with their owner and number of images"),
    "import": (f"{CONTENT}.streams:import_streams", "Import streams from the original layout"),
    "check": (f"{CONTENT}.streams:check_privacy", "Check that each kind of visitor sees only what they should"),
}
ALERTS = {
    "list": ("image_cache.cli.maintenance.alerts:list_destinations", "List the destinations and what was sent last"),
    "test": ("image_cache.cli.maintenance.alerts:test", "Send a test to every destination, or to one"),
}
STORAGE = {
    "check": (f"{CONTENT}.streams:check_storage", "Test every operation that a storage must support"),
    "sweep": (f"{CONTENT}.storage:sweep", "Remove rendered covers from the store that no node needs any more"),
}
COMMANDS: dict[str, dict[str, tuple[str, str] | click.Group]] = {
    "Serve": {
        "demo": ("image_cache.cli.demo:demo", "Start a demo with 240 invented records"),
        "run": ("image_cache.cli.serve:run", "Start the server for your own collection"),
    },
    "Watch": {
        "status": ("image_cache.cli.maintenance.status:status", "Show the current state at a glance"),
        "health": ("image_cache.cli.maintenance.status:health", "Check everything and suggest fixes; --wait S after a start"),
        "report": (
            "image_cache.cli.maintenance.report:report",
            "Show detailed statistics: sizes, disk speed, failing origins and covers",
        ),
        "monitor": ("image_cache.cli.maintenance.monitor:monitor", "Live view; one line per interval when piped"),
        "explain": (
            "image_cache.cli.maintenance.explain:explain",
            "Explain one cover, file or stream image: where it is stored, why it is missing",
        ),
        "probe": ("image_cache.cli.maintenance.probe:probe", "Test whether a URL can be downloaded; stores nothing"),
        "log": ("image_cache.cli.maintenance.log_url:log_url", "Show what happens to one URL; --follow continues"),
        "alerts": LazyGroup("alerts", {"Commands": ALERTS}, help="Test the alerts.", short_help="Alerts"),
        "selftest": (
            "image_cache.cli.maintenance.selftest:selftest",
            "Test the whole cover pipeline in a temporary folder",
        ),
    },
    "Maintain": {
        "verify": (
            "image_cache.cli.maintenance.verify:verify",
            "Check all stored data against its checksums; --repair fixes damage",
        ),
        "repair": ("image_cache.cli.maintenance.repair:repair", "Repair everything that can be repaired without losing data"),
        "preload": (
            "image_cache.cli.maintenance.preload:preload",
            "Download missing covers or files, render missing stream images",
        ),
        "cleanup": ("image_cache.cli.maintenance.clear:cleanup", "Remove cached images unused for --days"),
        "clear": ("image_cache.cli.maintenance.clear:clear", "Remove all cached covers"),
        "reset-counters": ("image_cache.cli.maintenance.reset:reset", "Count requests, hits and evictions from now on"),
        "backup": ("image_cache.cli.maintenance.backup:backup", "Back up all irreplaceable data to FILE, or into a folder"),
        "migrate": ("image_cache.cli.maintenance.migrate:migrate", "Change the database in PostgreSQL for this version"),
        "move": ("image_cache.cli.maintenance.move:move", "Move the catalogue into PostgreSQL, or back into a file"),
        "restore": ("image_cache.cli.maintenance.backup:restore", "Restore a backup into an empty data folder"),
    },
    "Records": {
        "import": (f"{CONTENT}.records:import_records", "Import records from a CSV, JSON or vinylvault.db file"),
        "export": (f"{CONTENT}.records:export_records", "Export all records to a CSV or JSON file"),
        "take-along": (f"{CONTENT}.records:take_along", "Write the collection as one HTML file for the phone"),
        "sync": (f"{CONTENT}.imports:sync", "Sync your Discogs collection"),
        "discogs": (f"{CONTENT}.imports:discogs", "Show the Discogs connection; --forget deletes the token"),
        "scan": (f"{CONTENT}.imports:scan", "Scan the music folders"),
        "remove": (f"{CONTENT}.records:remove_records", "Remove records"),
    },
    "Accounts, streams and files": {
        "users": LazyGroup("users", {"Commands": USERS}, help="Manage accounts.", short_help="Accounts"),
        "streams": LazyGroup("streams", {"Commands": STREAMS}, help="Manage image streams.", short_help="Streams of images"),
        "files": LazyGroup("files", {"Commands": FILES}, help="Manage cached large files.", short_help="Large files"),
        "storage": LazyGroup(
            "storage", {"Commands": STORAGE}, help="Check and sweep the storage of images.", short_help="Storage"
        ),
    },
    "Shell": {
        "completion": ("image_cache.cli.completion:completion", "Print the completion script for bash, zsh or fish"),
    },
}

vinylvault = LazyGroup(
    NAME,
    COMMANDS,
    help="Manage a record collection and its covers, whether the service is running or not.",
    epilog="Exit status: 0 healthy or done, 1 degraded or partly done, 2 unhealthy or not done.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, package_name=NAME, prog_name="VinylVault")(vinylvault)


def main(arguments: Sequence[str] | None = None, *, stream: TextIO | None = None, clock: Callable[[], float] = time.time) -> int:
    """Run `vinylvault` with these arguments (None: those of the process) and return the exit status."""
    return run(vinylvault, arguments, NAME, stream=stream, clock=clock)
