"""What a message says about the service: the command of the service manager that is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from image_cache import resources
from image_cache.resources import log_command, own_command, service_command
from tests.support.vault import ROOT


def test_on_a_server_the_service_is_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "UNITS=/etc/systemd/system\n" in (ROOT / "systemd/install.sh").read_text(encoding="utf-8")
    assert Path("/etc/systemd/system/vinylvault.service") == resources._UNIT
    (tmp_path / "vinylvault.service").touch()
    monkeypatch.setattr(resources, "_UNIT", tmp_path / "vinylvault.service")
    assert service_command("restart") == "sudo systemctl restart vinylvault"
    assert log_command() == "sudo journalctl -u vinylvault -n 50"
    assert own_command("probe URL") == "sudo vinylvault probe URL"


def test_elsewhere_it_is_what_someone_started_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_UNIT", tmp_path / "vinylvault.service")
    assert [service_command(verb) for verb in ("start", "stop")] == ["make run", "press Ctrl-C where it runs"]
    assert own_command("repair") == ".venv/bin/python -m image_cache.cli repair"
    monkeypatch.setattr(resources, "CHECKOUT", None)
    assert service_command("restart") == "press Ctrl-C where it runs, then vinylvault run"
    assert log_command() == "the terminal where it was started"
    assert own_command("repair") == "vinylvault repair"


def test_in_the_image_the_service_is_a_container(tmp_path: Path) -> None:
    """The image is told by the mark that the Containerfile leaves in its environment."""
    mark = "container-image"
    assert f"touch /opt/vinylvault/{mark};" in (ROOT / "Containerfile").read_text(encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "image")], check=True)
    (tmp_path / "image" / mark).touch()
    code = (
        "from image_cache.resources import *;"
        " print(service_command('start'), service_command('stop'), log_command(), own_command('health'), sep='|')"
    )
    said = subprocess.run(
        [tmp_path / "image/bin/python", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert (
        said
        == "docker compose up -d|docker compose stop|docker compose logs vinylvault|docker exec vinylvault vinylvault health\n"
    )
