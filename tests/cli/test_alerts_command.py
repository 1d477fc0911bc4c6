"""`vinylvault alerts`: the list, and a test that is sent at once."""

import io
import os
from pathlib import Path
from unittest import mock

from image_cache.cli.main import main
from image_cache.config import Settings
from image_cache.maintenance.alerts.destinations import DestinationFile, read_destination
from tests.support.operator import environment
from tests.support.origin import Origin

SECRET = "s3cr3t-key-of-the-hook"


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    mask = os.umask(0o077)
    try:
        with mock.patch.dict(os.environ, environment(folder), clear=True):
            status = main(["alerts", *arguments], stream=out)
    finally:
        os.umask(mask)
    return status, out.getvalue()


def test_the_command_sends_a_test_and_says_what_did_not_arrive(origin: Origin, tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    assert run(folder, "list") == (0, "There are no destinations. Add one at /admin/alerts.\n")
    assert run(folder, "test")[0] == 2
    known = DestinationFile(Settings(DATA_DIR=folder).alerts_path)
    origin.put("/")
    known.add(read_destination("ntfy", {"url": origin.url("/vault-7Q")}))
    known.add(read_destination("webhook", {"url": origin.url("/gone"), "secret": SECRET}))
    host = origin.base.partition("//")[2]
    assert run(folder, "test") == (2, f"ntfy, {host}/vault-7Q: sent.\nWebhook, {host}: not sent. HTTP 404.\n")
    assert run(folder, "test", "1") == (0, f"ntfy, {host}/vault-7Q: sent.\n")
    assert run(folder, "test", "3")[0] == 2
    assert [asked.path for asked in origin.requests] == ["/", "/gone", "/"]
    status, text = run(folder, "list")
    assert (status, SECRET in text) == (0, False)
    assert text.splitlines()[0] == f"1  ntfy     {host}/vault-7Q  nothing sent yet"
