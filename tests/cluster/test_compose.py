"""`compose.cluster.yaml` and the page for Kubernetes name what there is: settings, secrets, nodes, probes. Its commands do what it says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from image_cache.bootstrap import ensure_directories
from image_cache.config import Settings, load_settings
from image_cache.errors import ConfigError
from tests.cluster.front import CONFIGURATION
from tests.support.catalogs import has_postgres
from tests.support.ports import free_port
from tests.support.postgres import USER, Postgres
from tests.support.vault import ROOT

COMPOSE = (ROOT / "compose.cluster.yaml").read_text(encoding="utf-8")
DOCUMENT = (ROOT / "docs/CLUSTER.md").read_text(encoding="utf-8")
KUBERNETES = (ROOT / "docs/how-to/kubernetes.md").read_text(encoding="utf-8")


def test_its_settings_are_accepted_together(tmp_path: Path) -> None:
    rows = re.findall(r"^ +(VINYL_VAULT_\w+): \"?([^\"\n]*)\"?$", COMPOSE, re.MULTILINE)
    settings = load_settings({name: value.replace("/run/secrets", str(tmp_path)) for name, value in rows})
    assert settings.DATABASE.endswith("@postgres:5432/vinylvault")
    assert settings.SHARED_VARIANTS
    assert len({name for name, _ in rows}) > 12
    with pytest.raises(ConfigError):
        load_settings(dict([*rows, ("VINYL_VAULT_NODES", "1")]))


def test_the_settings_for_kubernetes_are_accepted_together(tmp_path: Path) -> None:
    rows = re.findall(r"^ +(VINYL_VAULT_\w+): \"?([^\"\n]*)\"?$", KUBERNETES, re.MULTILINE)
    assert load_settings({name: value.replace("/run/secrets", str(tmp_path)) for name, value in rows}).STORAGE == "s3"
    assert len(rows) > 10


def test_its_probes_are_routes() -> None:
    document = (ROOT / "docs/openapi.yaml").read_text(encoding="utf-8")
    probed = set(re.findall(r"path: (/\w+)", KUBERNETES)) | set(re.findall(r"127\.0\.0\.1:5000(/\w+)", COMPOSE))
    assert probed == {"/livez", "/readyz"}
    assert all(f"\n  {path}:\n" in document for path in probed)


def test_nginx_asks_the_nodes_that_there_are() -> None:
    nodes = re.findall(r"^  (node\d+):\n", COMPOSE.partition("services:")[2].partition("\nvolumes:")[0], re.MULTILINE)
    assert len(nodes) == 2
    assert re.findall(r"server (node\d+):5000", CONFIGURATION.read_text(encoding="utf-8")) == nodes
    assert re.findall(r"VINYL_VAULT_NODE: (node\d+)", COMPOSE) == nodes
    assert re.findall(r"- (node\d+):/data", COMPOSE) == nodes


def test_every_secret_is_made_by_the_commands_of_the_document(tmp_path: Path) -> None:
    block = re.search(r"```sh\n(mkdir -m 700 secrets\n.*?)```", DOCUMENT, re.DOTALL)
    assert block
    subprocess.run(["bash", "-euc", block[1]], cwd=tmp_path, check=True)
    named = set(re.findall(r"file: \./(secrets/\w+)", COMPOSE))
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == named
    used = set(re.findall(r"/run/secrets/(\w+)", COMPOSE))
    assert {f"secrets/{name}" for name in used} == named
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    texts = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    assert len(set(texts.values())) == len(texts), "each is another one"
    assert texts["s3_secret_key"].strip() in texts["s3_config"]
    assert len(texts["secret_key"].strip()) >= 32


def test_no_default_is_empty() -> None:
    """podman-compose of Debian 12 hands `${NAME:-}` on as it is."""
    assert re.findall(r"\$\{[^}]*:-\}", COMPOSE) == []


@pytest.mark.slow
@pytest.mark.server
def test_a_node_accepts_the_certificate_that_it_makes(tmp_path: Path) -> None:
    """0.0.0.0 is no loopback address by its number: a node insists on TLS there."""
    if not has_postgres():
        pytest.skip("needs PostgreSQL: apt install postgresql")
    found = re.search(r"(openssl req .*?)\n *chown", COMPOSE, re.DOTALL)
    assert found
    with Postgres(port=(port := free_port())) as server:
        far = Settings(DATA_DIR=tmp_path / "vault", DATABASE=f"postgresql://{USER}@0.0.0.0:{port}/{USER}")
        with pytest.raises(ConfigError, match="does not support SSL"):
            ensure_directories(far)
        subprocess.run(["bash", "-euc", found[1].replace("/tls/", f"{server.folder}/")], check=True, capture_output=True)
        if os.geteuid() == 0:
            for name in ("server.key", "server.crt"):
                shutil.chown(server.folder / name, USER)
        files = f"ALTER SYSTEM SET ssl_cert_file = '{server.folder}/server.crt';"
        files += f"\nALTER SYSTEM SET ssl_key_file = '{server.folder}/server.key';"
        assert server.script(f"{files}\nALTER SYSTEM SET ssl = on;") == ""
        server.stop()
        server.start()
        ensure_directories(far)
