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
    "add": (f"{CONTENT}.users:add", "Add an account; the password comes from standard input"),
    "list": (f"{CONTENT}.users:list_accounts", "List the accounts and their roles"),
    "remove": (f"{CONTENT}.users:remove", "Remove an account with its sessions and memberships"),
    "password": (f"{CONTENT}.users:password", "Change a password and end the sessions of the account"),
}
FILES = {
    "get": (f"{CONTENT}.files:get", "Fetch a file and print where it is"),
    "list": (f"{CONTENT}.files:list_files", "List stored files and running fetches"),
    "verify": (f"{CONTENT}.files:verify_files", "Compare every file with its checksum"),
    "import": (f"{CONTENT}.files:import_files", "Import the files of another cache"),
}
STREAMS = {
    "list": (f"{CONTENT}.streams:list_streams", "List streams with owner and number of images"),
    "import": (f"{CONTENT}.streams:import_streams", "Import the streams of the original layout"),
    "check": (f"{CONTENT}.streams:check_privacy", "Check that nobody sees what the visibility does not allow"),
}
STORAGE = {
    "check": (f"{CONTENT}.streams:check_storage", "Try everything that a storage has to do"),
}
COMMANDS: dict[str, dict[str, tuple[str, str] | click.Group]] = {
    "Serve": {
        "demo": ("image_cache.cli.demo:demo", "A vault of its own with 240 invented records, and the wall"),
        "run": ("image_cache.cli.serve:run", "The server of your own vault"),
    },
    "Watch": {
        "status": ("image_cache.cli.maintenance.status:status", "State at a glance, and the main figures"),
        "health": ("image_cache.cli.maintenance.status:health", "What is wrong, and what to do; --wait S after a start"),
        "report": (
            "image_cache.cli.maintenance.report:report",
            "Every figure: sizes, speed of the disk, hosts and covers in trouble",
        ),
        "monitor": ("image_cache.cli.maintenance.monitor:monitor", "A live screen, or a line per interval when piped"),
        "explain": (
            "image_cache.cli.maintenance.explain:explain",
            "One cover, file or stream image: where its bytes are, why it is missing",
        ),
        "probe": ("image_cache.cli.maintenance.probe:probe", "Try to fetch a URL; stores nothing"),
        "selftest": (
            "image_cache.cli.maintenance.selftest:selftest",
            "Try everything that happens to a cover in a temporary folder",
        ),
    },
    "Maintain": {
        "verify": (
            "image_cache.cli.maintenance.verify:verify",
            "Read everything that is stored and compare it with its hash; --repair",
        ),
        "repair": ("image_cache.cli.maintenance.repair:repair", "Repair what can be repaired without losing anything"),
        "preload": ("image_cache.cli.maintenance.preload:preload", "Fetch missing covers, with a progress bar"),
        "cleanup": ("image_cache.cli.maintenance.clear:cleanup", "Remove pictures that were not looked at for --days"),
        "clear": ("image_cache.cli.maintenance.clear:clear", "Remove every cached picture"),
        "backup": ("image_cache.cli.maintenance.backup:backup", "Write what cannot be fetched again to FILE, or into a folder"),
        "restore": ("image_cache.cli.maintenance.backup:restore", "Put a backup into an empty vault"),
    },
    "Records": {
        "import": (f"{CONTENT}.records:import_records", "Import records from a CSV, JSON or vinylvault.db file"),
        "export": (f"{CONTENT}.records:export_records", "Write all records to a CSV or JSON file"),
        "take-along": (f"{CONTENT}.records:take_along", "Write the collection as one HTML file for the phone"),
        "sync": (f"{CONTENT}.imports:sync", "Read the collection at Discogs"),
        "discogs": (f"{CONTENT}.imports:discogs", "Show the connection to Discogs; --forget removes the token"),
        "scan": (f"{CONTENT}.imports:scan", "Scan the music folders"),
        "remove": (f"{CONTENT}.records:remove_records", "Remove records for good"),
    },
    "Accounts, streams and files": {
        "users": LazyGroup("users", {"Commands": USERS}, help="Who can log in.", short_help="Accounts"),
        "streams": LazyGroup("streams", {"Commands": STREAMS}, help="Streams of images.", short_help="Streams of images"),
        "files": LazyGroup("files", {"Commands": FILES}, help="Large remote files, stored here.", short_help="Large files"),
        "storage": LazyGroup("storage", {"Commands": STORAGE}, help="Where originals are stored.", short_help="Storage"),
    },
    "Shell": {
        "completion": ("image_cache.cli.completion:completion", "Print the completion script for bash, zsh or fish"),
    },
}

vinylvault = LazyGroup(
    NAME,
    COMMANDS,
    help="Look after a vault of records and their covers, while the service runs or while it is stopped.",
    epilog="Exit status: 0 healthy or done, 1 degraded or done in part, 2 unhealthy or not done.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, package_name=NAME, prog_name="VinylVault")(vinylvault)


def main(arguments: Sequence[str] | None = None, *, stream: TextIO | None = None, clock: Callable[[], float] = time.time) -> int:
    """Run `vinylvault` with these arguments (None: those of the process) and return the exit status."""
    return run(vinylvault, arguments, NAME, stream=stream, clock=clock)
