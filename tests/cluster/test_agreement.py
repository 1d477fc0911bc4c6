"""What all nodes must have in common, and what stops the start of one that has something else. On PostgreSQL and a real store."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_cache.cluster.admission import check_bucket, check_start
from image_cache.cluster.agreement import Agreement, fingerprints
from image_cache.cluster.nodes import NodeTable
from image_cache.config import Settings
from image_cache.db.postgres.database import PgDatabase
from image_cache.errors import ConfigError
from image_cache.storage.s3 import S3Storage
from tests.support.catalogs import PostgresCatalogs, SchemaPool
from tests.support.postgres import USER
from tests.support.s3 import BUCKET, S3Server

pytestmark = [pytest.mark.postgres, pytest.mark.server]
KEY, OTHER_KEY = b"0123456789abcdef" * 2, b"fedcba9876543210" * 2


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def catalog(schema_pool: SchemaPool, tmp_path: Path) -> Iterator[PgDatabase]:
    catalogs = PostgresCatalogs(schema_pool)
    opened = catalogs.open(tmp_path / "catalog.db")
    assert isinstance(opened, PgDatabase)
    yield opened
    catalogs.close()


@pytest.fixture
def shared(schema_pool: SchemaPool, catalog: PgDatabase, s3: S3Server, tmp_path: Path) -> dict[str, Any]:
    """Return the settings of a node beside others; the key is in the file that they name."""
    (tmp_path / "key").write_bytes(KEY)
    folder = schema_pool.dsn.split()[0].removeprefix("host=")
    return {
        "DATABASE": f"postgresql://{USER}@/{USER}?host={folder}",
        "DATABASE_SCHEMA": catalog.rows("SELECT current_schema()")[0][0],
        "DATA_DIR": tmp_path / "vault",
        "SECRET_KEY_FILE": tmp_path / "key",
        **s3.settings(tmp_path / "secret"),
    }


def run(catalog: PgDatabase, settings: Settings, key: bytes = KEY, name: str = "one") -> Agreement:
    """Let a node run that has this."""
    NodeTable(catalog).join(name, "boot", "1", 1)
    agreement = Agreement(catalog, settings, key, name)
    agreement.join()
    return agreement


def refusal(**settings: Any) -> str:
    """Return why a node does not start; it has written nothing then."""
    with pytest.raises(ConfigError) as refused:
        check_start(Settings(**settings))
    assert not settings["DATA_DIR"].exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_nodes_that_agree_start(catalog: PgDatabase, shared: dict[str, Any]) -> None:
    run(catalog, Settings(**shared))
    run(catalog, Settings(**shared), name="two")
    check_start(Settings(**shared, NODE="three"))
    assert not shared["DATA_DIR"].exists()


@pytest.mark.parametrize("other", [{"DETAIL_SIZE": 500}, {"IMAGE_QUALITY": 70}, {"RECIPE": "quality"}, {"THUMBNAIL_SIZE": 200}])
def test_a_node_that_would_render_covers_differently_does_not_start(
    catalog: PgDatabase, shared: dict[str, Any], other: dict[str, Any]
) -> None:
    """They decide the names of covers: each node would give all of them its own, and fetch them again, in turns."""
    run(catalog, Settings(**shared))
    assert "VINYL_VAULT_DETAIL_SIZE: the other nodes render covers differently" in refusal(**shared, NODE="two", **other)


def test_a_single_node_may_have_its_originals_and_its_key_on_its_disk(
    catalog: PgDatabase, shared: dict[str, Any], tmp_path: Path
) -> None:
    alone = shared | {"STORAGE": "local", "SECRET_KEY_FILE": None}
    check_start(Settings(**alone))
    run(catalog, Settings(**alone))
    run(catalog, Settings(**alone), OTHER_KEY)  # it may change its key as well
    (tmp_path / "vault" / "cache").mkdir(parents=True)
    (tmp_path / "vault" / "cache" / "node").write_text("one\n", encoding="utf-8")
    check_start(Settings(**alone))  # it does not take itself for another


ALONE = {
    "STORAGE": ({"STORAGE": "local"}, "several nodes need one store for original images"),
    "SECRET_KEY_FILE": ({"SECRET_KEY_FILE": None}, "several nodes need the same key"),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_node_with_a_name_or_beside_another_needs_what_is_shared(
    catalog: PgDatabase, shared: dict[str, Any], name: str
) -> None:
    settings, says = ALONE[name]
    assert refusal(**shared | settings, NODE="two").startswith(f"VINYL_VAULT_{name}: {says}")
    run(catalog, Settings(**shared))
    assert refusal(**shared | settings).startswith(f"VINYL_VAULT_{name}: {says}")
    NodeTable(catalog).leave("one", "boot")
    check_start(Settings(**shared | settings))


def test_another_key_or_another_store_stops_it_as_long_as_others_run(
    catalog: PgDatabase, shared: dict[str, Any], tmp_path: Path
) -> None:
    run(catalog, Settings(**shared))
    (tmp_path / "other").write_bytes(OTHER_KEY)
    wrong = {
        "VINYL_VAULT_SECRET_KEY_FILE: this is not the key": [
            {"SECRET_KEY_FILE": tmp_path / "other"},
            {"SECRET_KEY_FILE": tmp_path / "none"},
        ],
        "VINYL_VAULT_S3_BUCKET: the other nodes keep original images elsewhere": [{"S3_PREFIX": "b"}, {"S3_BUCKET": "b"}],
    }
    for says, many in wrong.items():
        for settings in many:
            assert refusal(**shared | settings).startswith(says)
    late = Agreement(catalog, Settings(**shared), OTHER_KEY, "two")
    with pytest.raises(ConfigError, match="this is not the key"):
        late.join()
    NodeTable(catalog).leave("one", "boot")
    late.join()
    NodeTable(catalog).join("two", "boot", "1", 1)
    with pytest.raises(ConfigError, match="this is not the key"):
        Agreement(catalog, Settings(**shared), KEY, "one").check()


def test_a_catalogue_of_an_older_version_has_no_other_nodes(
    schema_pool: SchemaPool, catalog: PgDatabase, shared: dict[str, Any]
) -> None:
    run(catalog, Settings(**shared))
    alone = Settings(**shared | {"SECRET_KEY_FILE": None})
    schema_pool.run(f"ALTER TABLE {shared['DATABASE_SCHEMA']}.cluster RENAME TO none_yet")
    try:
        Agreement(catalog, alone, KEY, "two").check()
    finally:
        schema_pool.run(f"ALTER TABLE {shared['DATABASE_SCHEMA']}.none_yet RENAME TO cluster")
    with pytest.raises(ConfigError):
        Agreement(catalog, alone, KEY, "two").check()


def test_a_fingerprint_gives_no_key_away_and_an_endpoint_may_have_several_names() -> None:
    one, other = (fingerprints(Settings(STORAGE="s3", S3_BUCKET="b", S3_ENDPOINT=name), KEY) for name in ("http://a", "http://b"))
    assert one == other
    assert all(0 <= value < 2**63 for value in one.values())
    assert one["key"] != fingerprints(Settings(), OTHER_KEY)["key"]
    assert fingerprints(Settings(), KEY)["store"] != one["store"]


def test_a_bucket_without_rights_stops_the_start_and_one_that_is_away_does_not(
    shared: dict[str, Any], s3: S3Server, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("wrong", encoding="utf-8")
    assert refusal(**shared | {"S3_SECRET_KEY_FILE": tmp_path / "wrong"}).startswith("VINYL_VAULT_S3_BUCKET: ")
    assert refusal(**shared | {"S3_BUCKET": "none"}).startswith("VINYL_VAULT_S3_BUCKET: ")
    check_start(Settings(**shared))
    assert not [path for path in (s3.folder / BUCKET / "doctor").rglob("*") if path.is_file()]
    check_bucket(S3Storage(**s3.options | {"endpoint": "http://127.0.0.1:1"}))


def test_a_clock_that_is_wrong_is_named(catalog: PgDatabase, shared: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for apart_s in (0.0, 3.0):
        Agreement(catalog, Settings(**shared), KEY, "one", clock=lambda apart_s=apart_s: time.time() - apart_s).join()  # type: ignore[misc]
    assert caplog.records == []
    Agreement(catalog, Settings(**shared), KEY, "one", clock=lambda: time.time() - 60).join()
    assert caplog.records[0].getMessage().startswith("clock differs from that of PostgreSQL seconds=60 ")
