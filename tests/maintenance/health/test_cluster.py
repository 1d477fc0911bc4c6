"""Checks of the database and the nodes, by a real server; and what replaces `backup` there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.cluster.nodes import SILENT_S, NodeTable
from image_cache.config import Settings
from image_cache.db.postgres.database import PgDatabase
from image_cache.errors import ConfigError
from image_cache.maintenance.backup.create import back_up
from image_cache.maintenance.health import cluster
from image_cache.maintenance.health.examine import examine
from image_cache.maintenance.readonly_vault import ReadonlyVault, open_readonly
from tests.maintenance.test_move import run
from tests.support.catalogs import SchemaPool
from tests.support.filled import settings_of, vault_at
from tests.support.postgres import USER

pytestmark = [pytest.mark.postgres, pytest.mark.server]


@pytest.fixture
def settings(schema_pool: SchemaPool, tmp_path: Path) -> Iterator[Settings]:
    dsn = f"postgresql://{USER}@/{USER}?host={schema_pool.dsn.split()[0].removeprefix('host=')}"
    settings = settings_of(tmp_path / "vault", DATABASE=dsn, DATABASE_SCHEMA="checked")
    with vault_at(settings):
        pass
    yield settings
    schema_pool.run("DROP SCHEMA checked CASCADE; DROP SCHEMA checked_covers CASCADE")


@pytest.fixture
def vault(settings: Settings) -> Iterator[ReadonlyVault]:
    vault = open_readonly(settings)
    yield vault
    vault.close()


def silence(settings: Settings, name: str, seconds: float) -> None:
    """Let a node beat now, or for the last time some seconds ago."""
    from image_cache.db.open_catalog import open_catalog

    catalog = open_catalog(settings)
    NodeTable(catalog).join(name, "boot", "0.3.0", 1)
    catalog.rows("UPDATE nodes SET seen_at = seen_at - ? WHERE name = ? RETURNING name", (seconds, name))
    catalog.close()


def test_the_database_is_described_and_nothing_is_claimed_of_its_backup(vault: ReadonlyVault) -> None:
    check = cluster.database(vault)
    assert check.state == "well"
    assert check.message.startswith("PostgreSQL 1")
    assert "without TLS, schema " in check.message
    assert "connections free." in check.message
    assert check.message.endswith("Whether it is backed up with pg_dump cannot be told from here.")


def test_a_clock_that_is_wrong_and_connections_that_run_out_are_said(
    vault: ReadonlyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(vault.catalog, PgDatabase)
    with monkeypatch.context() as patched:
        patched.setattr("image_cache.db.postgres.facts.time.time", lambda: 1_000.0)
        wrong = cluster.database(vault)
    assert (wrong.state, "Its clock differs" in wrong.message, "chrony" in wrong.advice) == ("warning", True, True)
    monkeypatch.setattr(cluster, "FEW_CONNECTIONS", 1000)
    assert "Connections are running out." in cluster.database(vault).message


def test_nodes_are_named_to_operators_only(settings: Settings, vault: ReadonlyVault) -> None:
    silence(settings, "ada", 0)
    silence(settings, "bob", SILENT_S + 60)
    silence(settings, "gone", 2 * cluster.FORGOTTEN_S)
    check = cluster.nodes(vault, has_names=True)
    assert check.state == "warning"
    assert "1 node running (ada 0.3.0, seen " in check.message
    assert check.message.endswith("1 node not responding.")
    assert "bob (silent for 7" in check.advice
    assert "gone" not in check.advice
    assert "ada" not in cluster.nodes(vault, has_names=False).message
    silence(settings, "bob", 0)
    assert cluster.nodes(vault, has_names=False).message == "2 nodes running."


def test_health_and_status_name_the_nodes(settings: Settings, vault: ReadonlyVault) -> None:
    silence(settings, "ada", 0)
    assert {"Database", "Nodes"} <= {check.name for check in examine(vault, is_deep=False)}
    env = {
        "VINYL_VAULT_DATA_DIR": str(settings.DATA_DIR),
        "VINYL_VAULT_DATABASE": settings.DATABASE,
        "VINYL_VAULT_DATABASE_SCHEMA": settings.DATABASE_SCHEMA,
    }
    for command in ("health", "status"):
        assert "ada 0.3.0" in run(env, command).out, command


def test_a_backup_is_refused_with_the_commands_that_replace_it(settings: Settings, tmp_path: Path) -> None:
    more: dict[str, Any] = {"STORAGE": "s3", "S3_BUCKET": "vault"}
    with pytest.raises(ConfigError) as refused:
        back_up(Settings(DATA_DIR=tmp_path, DATABASE=settings.DATABASE, DATABASE_SCHEMA="checked", **more), tmp_path / "a.tar")
    said = str(refused.value)
    assert f"pg_dump --format=custom --schema=checked --file=vinylvault.dump '{settings.DATABASE}'" in said
    assert f"pg_restore --clean --if-exists --dbname='{settings.DATABASE}' vinylvault.dump" in said
    assert "aws s3api put-bucket-versioning --bucket vault --versioning-configuration Status=Enabled" in said
