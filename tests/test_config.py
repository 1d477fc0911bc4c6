"""The settings: every row is read, bounded, documented; what is wrong names itself."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from image_cache import config
from image_cache.config import Settings, load_settings, settings_document
from image_cache.errors import ConfigError
from image_cache.machine import machine_memory_bytes
from image_cache.net.policy import PeerPolicy
from image_cache.net.url import parse_url

ROOT = Path(__file__).resolve().parents[1]
ROWS = dataclasses.fields(Settings)
NUMBERS = [row for row in ROWS if row.metadata["low"] is not None or row.metadata["high"] is not None]
ids = [row.name for row in ROWS]


def sample(row: "dataclasses.Field[object]") -> tuple[str, object]:  # noqa: PLR0911  a table
    """Return a text for the environment that is not the default, and the value it stands for."""
    if row.metadata["choices"]:
        text = next(choice for choice in row.metadata["choices"] if choice != row.default)
        return text, text
    if row.name == "TRUSTED_ORIGINS":
        return "http://10.0.0.5:8080, https://[fd00::1]:443", ("http://10.0.0.5:8080", "https://[fd00::1]:443")
    if row.name == "VALKEY":
        return "valkeys://cache@[fd00::2]:6380/1", "valkeys://cache@[fd00::2]:6380/1"
    if row.name == "URL_PREFIX":
        return "/vinyl", "/vinyl"
    if row.name == "PAGE_MEMORY_MB":
        return "stream_gallery=8, stream_browser=0.5", ("stream_gallery=8", "stream_browser=0.5")
    if row.name.endswith("_API_URL"):
        return "https://mirror.example/discogs", "https://mirror.example/discogs"
    if "tuple" in str(row.type):
        return " a.example , .b.example,, ", ("a.example", ".b.example")
    if "Path" in str(row.type):
        return "/somewhere/else", Path("/somewhere/else")
    if row.metadata["low"] is not None:
        value = row.metadata["low"] if row.metadata["low"] != row.default else row.metadata["low"] + 1
        return str(value), value
    return ("yes", True) if isinstance(row.default, bool) else ("text", "text")


def beside(row: "dataclasses.Field[object]") -> dict[str, str]:
    """Return what a setting needs beside it, as variables."""
    samples = {"DATABASE": "postgresql://u@localhost/x", "STORAGE": "s3", "VALKEY": "redis://localhost"}
    needed = list(config.NEEDS.get(row.name, {}))
    needed += [more for name in needed for more in config.NEEDS.get(name, {})]
    return {f"VINYL_VAULT_{name}": samples[name] for name in needed}


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_every_row_is_read_under_each_of_its_names(row: "dataclasses.Field[object]") -> None:
    text, value = sample(row)
    for name in row.metadata["env"]:
        settings = load_settings({**beside(row), name: f"  {text} "})
        assert getattr(settings, row.name) == value
        others = [other.name for other in ROWS if other.name != row.name]
        assert all(getattr(settings, other) == getattr(load_settings(beside(row)), other) for other in others)


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_an_empty_variable_is_as_good_as_none(row: "dataclasses.Field[object]") -> None:
    assert load_settings(dict.fromkeys(row.metadata["env"], "  ")) == load_settings({})


@pytest.mark.parametrize("row", NUMBERS, ids=[row.name for row in NUMBERS])
def test_what_is_outside_the_bounds_or_no_number_names_its_variable(row: "dataclasses.Field[object]") -> None:
    name = row.metadata["env"][-1]
    wrong = ["many", "nan", "inf", "1,5"]
    if row.metadata["low"] is not None:
        wrong.append(str(row.metadata["low"] - 1))
    if row.metadata["high"] is not None:
        wrong.append(str(row.metadata["high"] + 1))
    for text in wrong:
        with pytest.raises(ConfigError) as caught:
            load_settings({name: text})
        assert caught.value.name == name
        assert str(caught.value).startswith(f"{name}: ")
    for bound in (row.metadata["low"], row.metadata["high"]):
        if bound is not None:
            assert getattr(load_settings({**beside(row), name: str(bound)}), row.name) == bound


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("VINYL_VAULT_DEBUG", "maybe"),
        ("VINYL_VAULT_RECIPE", "slow"),
        ("VINYL_VAULT_TRUSTED_ORIGINS", "10.0.0.5:8080"),
        ("VINYL_VAULT_TRUSTED_ORIGINS", "http://10.0.0.0/8"),
        ("VINYL_VAULT_TRUSTED_ORIGINS", "http://10.0.0.5:80/path"),
        ("VINYL_VAULT_TRUSTED_ORIGINS", "http://a:80,ftp://b:21"),
    ],
)
def test_a_bad_word_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_settings({name: text})


@pytest.mark.parametrize("name", config.NEEDS)
def test_a_setting_of_several_nodes_that_would_have_no_effect_is_refused(name: str) -> None:
    row = next(row for row in ROWS if row.name == name)
    for left_out in [f"VINYL_VAULT_{other}" for other in config.NEEDS[name]]:
        env = {**beside(row), row.metadata["env"][0]: sample(row)[0]}
        del env[left_out]
        with pytest.raises(ConfigError, match=f"^VINYL_VAULT_{name}: has no effect without {left_out}"):
            load_settings(env)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NODE", "a/b"),
        ("NODE", "Upper"),
        ("NODE", "-a"),
        ("NODE", "a" * 64),
        ("VALKEY", "localhost:6379"),
        ("VALKEY", "http://localhost"),
        ("VALKEY", "valkey://:geheim@localhost"),
        ("VALKEY", "valkey://u:geheim@localhost"),
        ("VALKEY", "valkey://localhost/0?password=geheim"),
        ("DATABASE_MIGRATE", "never"),
    ],
)
def test_a_bad_setting_of_several_nodes_names_itself(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^VINYL_VAULT_{name}: ") as refused:
        load_settings({"VINYL_VAULT_DATABASE": "postgresql://u@localhost/x", f"VINYL_VAULT_{name}": text})
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("name", ["VINYL_VAULT_CACHE_SIZE", "VINYL_VAULT_", "IMAGE_CACHE_DIR", "IMAGE_CACHE_TTL"])
def test_an_unknown_variable_of_ours_stops_the_start_and_names_itself(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: unknown setting"):
        load_settings({name: "1", "PATH": "/usr/bin", "CACHE_STRANGE": "x"})


def test_a_typing_error_is_told_the_name_that_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting; did you mean VINYL_VAULT_PAGE_SIZE\? Otherwise see docs"):
        load_settings({"VINYL_VAULT_PAGESIZE": "24"})
    with pytest.raises(ConfigError, match="unknown setting; see docs"):
        load_settings({"VINYL_VAULT_BANANA": "24"})


def test_variables_of_others_are_not_our_business() -> None:
    assert load_settings({"VINYL": "1", "CACHE_X": "1", "FLASK_DEBUG": "1", "HTTP_PROXY": "http://x"}) == load_settings({})


def test_the_first_name_wins_when_several_are_set() -> None:
    both = {"CACHE_DEFAULT_TTL_HOURS": "6", "IMAGE_CACHE_TTL_HOURS": "72"}
    assert load_settings(both).IMAGE_CACHE_TTL_HOURS == 72
    assert load_settings({"CACHE_DEFAULT_TTL_HOURS": "6"}).IMAGE_CACHE_TTL_HOURS == 6


def test_megabytes_win_over_gigabytes() -> None:
    assert load_settings({"VINYL_VAULT_CACHE_SIZE_GB": "3"}).disk_budget_bytes == 3_000_000_000
    assert load_settings({"VINYL_VAULT_CACHE_SIZE_GB": "3", "CACHE_MAX_SIZE_MB": "1024"}).disk_budget_bytes == 1_024_000_000


def test_the_memory_tier_is_a_ceiling_unless_it_is_asked_for_exactly() -> None:
    assert load_settings({"VINYL_VAULT_MEMORY_CACHE_SIZE_MB": "1"}).memory_budget_bytes == 1_000_000
    assert load_settings({}).memory_budget_bytes <= 128_000_000
    assert load_settings({"VINYL_VAULT_MEMORY_CACHE_SIZE_MB": "65536"}).memory_budget_bytes == machine_memory_bytes() // 16
    assert load_settings({"IMAGE_CACHE_MAX_MEMORY_MB": "500"}).memory_budget_bytes == 500_000_000


def test_folders_follow_the_data_folder_unless_they_are_named() -> None:
    settings = load_settings({"VINYL_VAULT_DATA_DIR": "/data", "CACHE_DIR": "/fast"})
    assert settings.catalog_path == Path("/data/state/catalog.db")
    assert settings.secret_key_path == Path("/data/state/secret_key")
    assert (settings.index_path, settings.covers_dir) == (Path("/fast/index.db"), Path("/fast/covers"))
    assert Path.home() / "vault" == load_settings({"VINYL_VAULT_DATA_DIR": "~/vault"}).DATA_DIR
    assert Path.cwd() / "here" == load_settings({"VINYL_VAULT_DATA_DIR": "here"}).DATA_DIR


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text('# ours\nVINYL_VAULT_CACHE_SIZE_GB=3\nexport PORT="8080"\nVINYL_VAULT_DEBUG=\nOTHER=x\n')
    settings = load_settings({"PORT": "9090"}, dotenv=path)
    assert (settings.MAX_CACHE_SIZE_GB, settings.PORT, settings.DEBUG) == (3, 9090, False)
    path.write_text("VINYL_VAULT_CACHE_SIZE=3\n")
    with pytest.raises(ConfigError, match="VINYL_VAULT_CACHE_SIZE"):
        load_settings({}, dotenv=path)


def test_settings_given_as_a_mapping_do_not_read_the_file_of_the_checkout() -> None:
    assert load_settings({}).PORT == 5000


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/system.slice/vinylvault.service\n", {"system.slice/vinylvault.service": "600000000"}, 600_000_000),
        (
            "0::/system.slice/vinylvault.service\n",
            {"system.slice": "500000000", "system.slice/vinylvault.service": "max"},
            500_000_000,
        ),
        ("0::/\n", {"": "700000000"}, 700_000_000),
        ("0::/user.slice\n", {}, None),
        ("1:name=systemd:/x\n0::/a\n", {"a": "400000000"}, 400_000_000),
    ],
)
def test_the_limit_of_a_service_counts_as_its_memory(
    own: str, limits: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    """The limit of the root group was read, which only a container has: a service with MemoryMax took its share of the whole machine."""
    for folder, limit in limits.items():
        (tmp_path / "cgroup" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / folder / "memory.max").write_text(limit + "\n")
    (tmp_path / "own").write_text(own)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine_memory_bytes(tmp_path / "cgroup", tmp_path / "own") == min(physical, expected or physical)


@pytest.mark.parametrize(
    ("service", "machine", "expected"),
    [
        (200_000_000, 502_000_000, 100_000_000),  # a Pi with 512 MB, and the unit's limit
        (502_000_000, 502_000_000, 167_333_333),  # no limit: the kernel of Raspberry Pi OS has no memory group
        (100_000_000, 426_000_000, 64 << 20),
        (8_000_000_000, 8_000_000_000, 256 << 20),  # the setting
    ],
)
def test_the_decoder_gets_half_of_the_service_and_a_third_of_the_machine(
    service: int, machine: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "machine_memory_bytes", lambda: service)
    monkeypatch.setattr(config, "physical_memory_bytes", lambda: machine)
    assert load_settings({}).decode_budget_bytes == expected


def test_a_limit_that_slows_a_service_down_counts_as_its_memory(tmp_path: Path) -> None:
    """MemoryHigh of a drop-in was not read: budgets were taken from the higher MemoryMax, and the kernel took the program's pages."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/memory.max").write_text("287000000\n")
    (tmp_path / "a/memory.high").write_text("215000000\n")
    (tmp_path / "own").write_text("0::/a\n")
    assert machine_memory_bytes(tmp_path, tmp_path / "own") == 215_000_000


@pytest.mark.parametrize(
    ("folder", "limit", "expected"),
    [
        ("memory", "600000000", 600_000_000),  # a container: it sees its own group as the root
        ("memory/docker/1f2e", "500000000", 500_000_000),
        ("memory", "9223372036854771712", None),  # the kernel's number for no limit
    ],
)
def test_the_limit_of_a_container_counts_on_a_nas_with_older_control_groups(
    folder: str, limit: str, expected: int | None, tmp_path: Path
) -> None:
    """Version 1, as Synology's kernels have it, was not read: a container of 600 MB shared out the memory of the whole machine."""
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "memory.limit_in_bytes").write_text(limit + "\n")
    (tmp_path / "own").write_text("9:name=systemd:/docker/1f2e\n4:memory:/docker/1f2e\n3:cpu,cpuacct:/docker/1f2e\n0::/\n")
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine_memory_bytes(tmp_path, tmp_path / "own") == min(physical, expected or physical)


@pytest.mark.parametrize(
    "address",
    [
        "api.discogs.com",
        "http://api.discogs.com",
        "https://",
        "https://name:word@api.discogs.com",
        "https://a?b",
        "https://a#b",
        "ftp://a",
    ],
)
def test_discogs_is_asked_over_https_or_at_a_server_of_ones_own(address: str) -> None:
    with pytest.raises(ConfigError, match="VINYL_VAULT_DISCOGS_API_URL"):
        load_settings({"VINYL_VAULT_DISCOGS_API_URL": address, "VINYL_VAULT_TRUSTED_ORIGINS": "http://10.0.0.5:80"})
    own = {"VINYL_VAULT_DISCOGS_API_URL": "http://10.0.0.5:8080/api", "VINYL_VAULT_TRUSTED_ORIGINS": "http://10.0.0.5:8080"}
    assert load_settings(own).DISCOGS_API_URL == "http://10.0.0.5:8080/api"
    with pytest.raises(ConfigError):
        load_settings({**own, "VINYL_VAULT_TRUSTED_ORIGINS": "http://10.0.0.5:808"})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("http://my_nas:8080", "http://my_nas:8080"),
        ("http://nas.local", "http://nas.local:80"),
        ("https://Nas.Local/", "https://nas.local:443"),
        ("http://[fd00::1]", "http://[fd00::1]:80"),
    ],
)
def test_an_origin_of_ones_own_is_taken_in_every_usual_spelling(given: str, read: str) -> None:
    settings = load_settings({"VINYL_VAULT_TRUSTED_ORIGINS": given})
    assert (read,) == settings.TRUSTED_ORIGINS
    assert PeerPolicy(settings.TRUSTED_ORIGINS).is_trusted(parse_url(given).peer)


@pytest.mark.parametrize(
    "given", ["nas:80", "http://nas:0", "http://nas:65536", "http://nas/path", "http://a b", "http://u@nas", "http://"]
)
def test_what_is_no_origin_stops_the_start_and_is_named(given: str) -> None:
    with pytest.raises(ConfigError, match="VINYL_VAULT_TRUSTED_ORIGINS"):
        load_settings({"VINYL_VAULT_TRUSTED_ORIGINS": given})


@pytest.mark.parametrize(("given", "read"), [("/vinyl", "/vinyl"), ("/a/b.c/", "/a/b.c")])
def test_a_path_prefix_is_read(given: str, read: str) -> None:
    assert read == load_settings({"VINYL_VAULT_URL_PREFIX": given}).URL_PREFIX


@pytest.mark.parametrize("given", ["vinyl", "//evil.example", '/"x', "/a b", "http://a/b"])
def test_what_is_no_path_prefix_stops_the_start(given: str) -> None:
    with pytest.raises(ConfigError, match="VINYL_VAULT_URL_PREFIX"):
        load_settings({"VINYL_VAULT_URL_PREFIX": given})


def test_the_document_is_the_table() -> None:
    assert (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8") == settings_document()
    done = subprocess.run([sys.executable, "config.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == settings_document()


def test_every_topic_of_the_document_has_settings() -> None:
    assert list(config.TOPICS) == [row.name for row in ROWS if row.name in config.TOPICS]
    parts = settings_document().split("\n## ")[1:]
    assert [part.splitlines()[0] for part in parts] == list(config.TOPICS.values())
    assert sum(part.count("\n| `") for part in parts) == len(ROWS)


def test_every_row_is_documented_and_no_name_is_used_twice() -> None:
    names = [name for row in ROWS for name in row.metadata["env"]]
    assert len(names) == len(set(names))
    assert all(f"`{name}`" in settings_document() for name in names)
    assert all(row.metadata["help"].endswith(".") and row.metadata["env"] for row in ROWS)
    assert {name for name in names if name.startswith(config.OURS)} == {
        name for name in names if "VINYL" in name or "IMAGE_C" in name
    }


def test_the_constants_of_scripts_are_what_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is worked out at the start was None."""
    monkeypatch.setenv("VINYL_VAULT_DATA_DIR", str(tmp_path))
    assert tmp_path / "state" == config.STATE_DIR
    assert tmp_path / "cache" / "covers" == config.COVERS_DIR
    assert tmp_path / "cache" / "files" == config.FILES_DIR
    assert tmp_path / "cache" / "streams" == config.IMAGE_CACHE_DIR
    assert tmp_path / "state" / "stream_images" == config.STREAM_IMAGES_DIR
    assert tmp_path / "state" / "secret_key" == config.SECRET_KEY_FILE
    assert 1 <= config.IMAGE_CACHE_MAX_MEMORY_MB <= config.MEMORY_CACHE_SIZE_MB
