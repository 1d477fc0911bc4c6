"""`vinylvault demo`: a separate vault with all that VinylVault can show, and an origin that draws it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

import click

from image_cache.cli.action_log import command_line
from image_cache.cli.serve import server_command
from image_cache.cli.system_user import user_name
from image_cache.config import Settings, data_home, load_settings
from image_cache.db.open_catalog import has_catalog
from image_cache.demo.records import records
from image_cache.errors import ConfigError
from image_cache.resources import CHECKOUT, SITE
from image_cache.services import open_services

ORIGIN_PORT = int(os.environ.get("DEMO_ORIGIN_PORT", "5077"))  # part of every cover's address: the same one keeps the vault warm
READY_S = 20.0
STOP_S = 30.0


TRY = """
  Try: Spin, a search for "blue", "Do I have it?", Now playing, Streams, Files, and the dashboard with its charts.
  Log in with one click, on this computer only: http://localhost:{port}/login
  Remove everything that is made up: {command}, or the button on the page Import, Demo.
"""


@click.command("demo")
@click.option("--remove", "is_removing", is_flag=True, help="Remove everything that is made up, and show nothing.")
@click.option("--yes", "is_confirmed", is_flag=True, help="With --remove: do not ask for confirmation.")
def demo(is_removing: bool, is_confirmed: bool) -> int:
    """Start a demo with 240 invented records, three streams and two files in its own data folder, until Ctrl-C.

    If a port is in use, a free one is chosen. What you add yourself stays when the demo is removed.
    """
    os.environ.setdefault("VINYL_VAULT_DATA_DIR", str(data_home() / "var-demo"))
    return _remove(is_confirmed=is_confirmed) if is_removing else _show()


def _remove(*, is_confirmed: bool) -> int:
    try:
        settings = _settings()
    except ConfigError as error:
        return _fail(str(error))
    if not has_catalog(settings):
        return _fail(f"There is no vault in {settings.DATA_DIR}.")
    services = open_services(settings)
    try:
        found = services.demo_vault.contents()
        if not found:
            print("Nothing here is made up.")
            return 0
        print(f"{found}. What you added stays.")
        if not is_confirmed:
            click.confirm("Remove the demo?", abort=True)
        services.demo_vault.remove()
        services.actions.add("records", command_line(user_name()), "removed the demo")
        print("The demo is removed.")
        if code := services.demo_vault.claim_code():
            print(f"To make this vault yours, start it with `vinylvault run` and open /claim: the code is {code}.")
    finally:
        services.close()
    return 0


def _show() -> int:
    origin_port = _free_port(ORIGIN_PORT)
    if origin_port != ORIGIN_PORT:
        print(f"Port {ORIGIN_PORT} is in use: the demo's image server uses {origin_port}.", flush=True)
    origin_url = f"http://127.0.0.1:{origin_port}"
    trusted = [o for o in os.environ.get("VINYL_VAULT_TRUSTED_ORIGINS", "").split(",") if o]
    os.environ.setdefault("VINYL_VAULT_FIND_COVERS", "0")  # no service knows invented records
    os.environ["VINYL_VAULT_TRUSTED_ORIGINS"] = ",".join([*trusted, origin_url])
    os.environ["VINYL_VAULT_DEMO_ORIGIN"] = origin_url
    try:
        settings = _settings()
    except ConfigError as error:
        return _fail(str(error))
    port = _free_port(settings.PORT)
    if port != settings.PORT:
        print(f"Port {settings.PORT} is in use: the demo is on http://localhost:{port}/", flush=True)
        os.environ["PORT"] = str(port)
    origin = subprocess.Popen(
        [
            *(sys.executable, "-m", "image_cache.demo.origin", "--port", str(origin_port)),
            *("--dir", str(settings.DATA_DIR / "origin"), "--parent", str(os.getpid())),
        ],
        cwd=SITE,
        start_new_session=True,  # Ctrl-C reaches this process only; it ends the others in their order
    )
    server = None
    try:
        if not _answers(origin, f"{origin_url}/health"):
            return _fail(f"The demo's image server could not start on port {origin_port}. See the message above.")
        if _import(origin_url):
            command = "make demo ARGS=--remove" if CHECKOUT is not None else "vinylvault demo --remove"
            print(TRY.format(port=port, command=command), end="", flush=True)
        server = subprocess.Popen(
            server_command(),
            cwd=SITE,
            env={**os.environ, "VINYLVAULT_PARENT": str(os.getpid())},  # it ends with this process, however that ends
            start_new_session=True,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for process in (server, origin):
            if process is not None:
                _end(process)


def _settings() -> Settings:
    """Return the settings of the demo. Raises `ConfigError` also for a catalogue that would be shared with a real vault."""
    settings = load_settings()
    if settings.DATABASE:
        raise ConfigError("VINYL_VAULT_DATABASE", "the demo has a catalogue of its own; unset this for it")
    return settings


def _free_port(wanted: int) -> int:
    """Return the wanted port, or the next free one."""
    return next((port for port in range(wanted, min(wanted + 50, 65536)) if not _is_taken(port)), wanted)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _import(origin_url: str) -> bool:
    """Import the records, and leave the rest to the server; return True if the vault is a demo and no one's own."""
    services = open_services(load_settings())
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(records(origin_url), file)
            file.flush()
            report = services.library.import_table(Path(file.name), words="Demo records added")
        services.covers.register(services.library.cover_urls())
        if report.new:
            services.actions.add("records", command_line(user_name()), "added the demo collection")
        print(f"The demo collection: {report.read} records, {report.new} new.", flush=True)
        if services.demo_vault.prepare():
            services.demo_vault.start()
        return services.demo_vault.account() is not None
    finally:
        services.close()


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  an address of our own
                return process.poll() is None
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1
