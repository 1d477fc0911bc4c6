"""What scripts were promised: the documented snippets run as they were written, but for the import line."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from image_cache.files.legacy_import import import_layout
from image_cache.files.paths import name_of, parse_remote, suffix
from tests.support.inside import Inside
from tests.support.origin import Asked, Origin
from tests.support.vault import ROOT
from tests.support.volumes import serve

Run = Callable[..., str]


@pytest.fixture
def run(origin: Origin, tmp_path: Path) -> Run:
    """Run a script as its writer would: in its own process, with the documented variables."""

    def run(script: str, **more: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("VINYL_VAULT_", "IMAGE_CACHE_"))}
        env = {
            **clean,
            "PYTHONPATH": str(ROOT),
            "IMAGE_SERVER": origin.base,
            "CACHE_DIR": str(tmp_path / "cache"),
            "CACHE_MAX_SIZE_MB": "64",
            "CACHE_DEFAULT_TTL_HOURS": "24",
            "VINYL_VAULT_DATA_DIR": str(tmp_path / "data"),
            "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0",
            **more,
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_the_basic_snippet(run: Run, origin: Origin) -> None:
    url, _ = serve(origin, "/image.nii.gz", b"\x1f\x8b" + b"x" * 1000)
    said = run(f"""
from image_cache import get_cached_file

# Get a cached file (downloads if not cached)
cached_path = get_cached_file("{url}")

# Use the local file path
print(f"File cached at: {{cached_path}}")
""")
    path = Path(said.strip().removeprefix("File cached at: "))
    assert path.read_bytes().startswith(b"\x1f\x8b")
    assert path.name.endswith(".nii.gz")


@pytest.mark.slow
def test_the_advanced_snippet(run: Run, origin: Origin) -> None:
    url, volume = serve(origin, "/a.bin", b"x" * 1000)
    script = f"""
url = "{url}"
from image_cache import ImageCacheManager

# Create a custom cache manager
cache = ImageCacheManager(
    cache_dir="./my_cache",
    max_cache_size_mb=512,
    default_ttl_hours=12
)

# Get file with custom TTL
cached_path = cache.get_file(url, ttl_seconds=3600)  # 1 hour TTL

# Get cache statistics
stats = cache.get_stats()
print(f"Hit rate: {{stats['hit_rate']:.1%}}")
"""
    assert run(script) == "Hit rate: 0.0%\n"
    assert run(script) == "Hit rate: 50.0%\n"
    assert len(volume.asked) == 1


def test_the_management_and_statistics_snippets(run: Run, origin: Origin) -> None:
    url, _ = serve(origin, "/image.nii.gz", b"\x1f\x8b" + b"x" * 2_000_000)
    said = run(f"""
from image_cache import get_cached_file
get_cached_file("/image.nii.gz")
from image_cache import get_cache_stats
stats = get_cache_stats()
print(f"Files cached: {{stats['entries_count']}}")
print(f"Cache size: {{stats['current_size_mb']:.1f}} MB")
print(f"Hit rate: {{stats['hit_rate']:.1%}}")
print(f"Total downloads: {{stats['total_downloads']}}")
print(f"Current size: {{stats['current_size_mb']:.1f}} MB")
print(f"Max size: {{stats['max_size_mb']:.1f}} MB")
from image_cache import get_cache_manager

cache = get_cache_manager()

# Remove specific file
cache.invalidate("{url}")

# Force cleanup of expired files
cache.cleanup()

# Get detailed statistics
stats = cache.get_stats()
print(stats["entries_count"])

# Clear all cached files
cache.clear_cache()

from image_cache import clear_cache
clear_cache()
""")
    assert said.splitlines() == [
        "Files cached: 1",
        "Cache size: 2.0 MB",
        "Hit rate: 0.0%",
        "Total downloads: 1",
        "Current size: 2.0 MB",
        "Max size: 64.0 MB",
        "0",
    ]


def test_the_configuration_and_logging_snippets(run: Run, origin: Origin) -> None:
    serve(origin, "/file.nii", b"x" * 50)
    said = run(f"""
import logging
logging.basicConfig(level=logging.DEBUG)
from image_cache import ImageCacheManager
cache = ImageCacheManager(
    cache_dir="./custom_cache",           # Custom cache directory
    max_cache_size_mb=2048,              # 2GB cache limit
    default_ttl_hours=48,                # 48 hour TTL
    image_server_url="{origin.base}" # Custom server URL
)
path = cache.get_file("file.nii?token=secret")
assert cache.get_cached_file("file.nii?token=secret") == path
assert cache.download_and_cache("file.nii?token=secret") == path
print(cache.get_stats()["max_size_mb"], cache.get_stats()["default_ttl_hours"])
""")
    assert "2048.0 48.0" in said
    assert "Cached file: " in said
    assert "(50 bytes)" in said
    assert "Cache hit for: " in said
    assert "secret" not in said.replace("http.server", "")


@pytest.mark.slow
def test_the_controls_snippet(run: Run, origin: Origin) -> None:
    serve(origin, "/x.bin", b"x" * 50)
    said = run("""
from contextlib import nullcontext
from image_cache import get_cached_file, show_cache_controls
get_cached_file("x.bin")
with nullcontext():
    shown = show_cache_controls()  # Adds cache management UI
print(shown)
""")
    assert "<dt>Files</dt><dd>1</dd>" in said
    assert "<form" not in said


def test_the_controls_of_a_running_vault_have_forms_for_its_operator(origin: Origin, tmp_path: Path) -> None:
    from image_cache import show_cache_controls

    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        with inside.app.test_request_context("/", base_url="http://localhost:5000", environ_base={"REMOTE_ADDR": "127.0.0.1"}):
            assert 'action="/files/bounds"' in show_cache_controls()
        with inside.app.test_request_context("/", environ_base={"REMOTE_ADDR": "10.0.0.7"}):
            assert "<form" not in show_cache_controls()


def test_what_is_left_out_is_as_set(origin: Origin, tmp_path: Path, run: Run) -> None:
    """A bare `ImageCacheManager()` had 1,024 MB and 24 hours, whatever the settings and the files page said."""
    script = """
from image_cache import ImageCacheManager
for given in ({}, {"max_cache_size_mb": 512}, {"default_ttl_hours": 12}, {"cache_dir": "./other"}):
    stats = ImageCacheManager(**given).get_stats()
    print(stats["max_size_mb"], stats["default_ttl_hours"], stats["cache_dir"])
"""
    ours, other = f"{tmp_path}/cache/files", f"{tmp_path}/other"
    said = run(script, CACHE_MAX_SIZE_MB="77", CACHE_DEFAULT_TTL_HOURS="3").splitlines()
    assert said == [f"77.0 3.0 {ours}", f"512.0 3.0 {ours}", f"77.0 12.0 {ours}", f"77.0 3.0 {other}"]
    with Inside(tmp_path / "data", trusted=(origin.base,)) as inside:
        inside.services.files.change_limits(max_size_mb=7, ttl_hours=2)
    assert run(script).splitlines()[0] == f"7.0 2.0 {ours}"


def test_download_and_cache_downloads_again_and_keeps_the_ttl(run: Run, origin: Origin) -> None:
    url, volume = serve(origin, "/x.bin", b"x" * 1000)
    script = f"""
from image_cache import ImageCacheManager
from image_cache.errors import OriginUnavailable
manager = ImageCacheManager()
path = manager.get_file("{url}")
assert manager.download_and_cache("{url}", ttl_seconds=7200) == path
print(manager.files.index.files()[0].ttl_s, manager.get_stats()["total_downloads"])
import urllib.request; urllib.request.urlopen("{origin.url("/gone")}").close()
try:
    manager.download_and_cache("{url}")
except OriginUnavailable:
    print("raised", manager.get_file("{url}") == path)
"""

    def lose_the_line(sock: socket.socket, asked: Asked) -> None:
        volume.cuts = [0] * 20
        sock.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    origin.script("/gone", lose_the_line)
    assert run(script).splitlines() == ["7200.0 2", "raised True"]
    assert volume.sent_bytes == 2000
    assert "if-none-match" not in volume.asked[1].headers


def test_an_unusable_folder_breaks_no_script(run: Run, origin: Origin, tmp_path: Path) -> None:
    url, _ = serve(origin, "/x.bin", b"x" * 1000)
    (tmp_path / "taken").write_text("no folder")
    said = run(
        f"""
import logging; logging.basicConfig()
from pathlib import Path
from image_cache import clear_cache, get_cache_manager, get_cache_stats, get_cached_file
manager = get_cache_manager()
assert manager.get_cached_file("{url}") is None
path = get_cached_file("{url}")
assert path.read_bytes() == b"x" * 1000 and get_cached_file("{url}") == path
print(get_cache_stats()["entries_count"], path)
manager.invalidate("{url}"); manager.cleanup(); clear_cache()
""",
        CACHE_DIR=str(tmp_path / "taken"),
    )
    assert said.startswith("1 ")
    assert not Path(said.splitlines()[0].removeprefix("1 ")).parents[1].exists(), "the temporary folder goes with the script"
    assert said.count("file cache unusable") == 1


def test_scripts_use_what_the_page_changed(origin: Origin, tmp_path: Path, run: Run) -> None:
    with Inside(tmp_path / "data", trusted=(origin.base,)) as inside:
        inside.services.files.change_limits(max_size_mb=7, ttl_hours=3)
    said = run("from image_cache import get_cache_stats; s = get_cache_stats(); print(s['max_size_mb'], s['default_ttl_hours'])")
    assert said == "7.0 3.0\n"


# --- commands


def flask(run_env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "files", *arguments],
        cwd=ROOT,
        env={**os.environ, **run_env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_commands_get_list_verify_and_import(origin: Origin, tmp_path: Path) -> None:
    body = b"v" * 100_000
    url, volume = serve(origin, "/brain.nii.dat", body)
    env = {
        "VINYL_VAULT_DATA_DIR": str(tmp_path / "vault"),
        "VINYL_VAULT_TRUSTED_ORIGINS": origin.base,
        "VINYL_VAULT_FREE_SPACE_FLOOR_MB": "0",
    }
    output = tmp_path / "copy.bin"
    got = flask(env, "get", url, "--output", str(output))
    assert (got.returncode, got.stdout) == (0, f"{output}\n")
    assert output.read_bytes() == body
    wrong = flask(env, "get", url, "--sha256", "0" * 64)
    assert wrong.returncode == 1
    assert url in wrong.stderr
    assert "expected 0000" in wrong.stderr
    assert f"got {hashlib.sha256(body).hexdigest()}" in wrong.stderr
    missing = flask(env, "get", origin.url("/none"))
    assert missing.returncode == 1
    assert f"{origin.url('/none')}: HTTP 404" in missing.stderr
    listed = flask(env, "list").stdout
    assert "brain.nii.dat" in listed
    assert flask(env, "verify").returncode == 0
    (path,) = (tmp_path / "vault/cache/files").glob("??/*.dat")
    path.write_bytes(b"w" * 100_000)
    assert flask(env, "verify", "--no-fetch").returncode == 1
    volume.asked.clear()
    mended = flask(env, "verify")
    assert mended.returncode == 0
    assert "was corrupt, downloaded again" in mended.stdout
    assert len(volume.asked) == 1
    assert path.read_bytes() == body
    layout(tmp_path / "old", "https://example.org/t1.nii", b"old" * 100)
    assert "1 imported" in flask(env, "import", str(tmp_path / "old")).stdout


# --- the original layout


def layout(folder: Path, url: str, body: bytes, **facts: object) -> None:
    """Write a cache folder as the program before this one did."""
    folder.mkdir(exist_ok=True)
    key = hashlib.md5(url.encode()).hexdigest()
    (folder / f"{key}.cached").write_bytes(body)
    table = folder / "cache_metadata.json"
    known = json.loads(table.read_text()) if table.exists() else {"entries": {}, "stats": {"hits": 3}}
    known["entries"][url] = {
        "url": url,
        "local_path": f"/home/somebody/.cache/{key}.cached",
        "file_size": len(body),
        "created_at": 1_799_999_000.0,
        "last_accessed": 1_799_999_500.0,
        "access_count": 4,
        "content_hash": hashlib.sha256(body).hexdigest(),
        "ttl_seconds": 86400,
        **facts,
    }
    table.write_text(json.dumps(known))


def test_an_old_cache_is_taken_over_once_and_asks_nobody(origin: Origin, tmp_path: Path) -> None:
    from tests.support.clock import FakeClock

    urls = [origin.url(f"/{n}.nii.gz") for n in range(3)]
    for url in urls:
        layout(tmp_path / "old", url, url.encode() * 50)
    layout(tmp_path / "old", origin.url("/bad.nii"), b"bad", content_hash="0" * 64)
    layout(tmp_path / "old", origin.url("/short.nii"), b"short", file_size=99)
    layout(tmp_path / "old", origin.url("/gone.nii"), b"gone", local_path="/nowhere/else")
    layout(tmp_path / "old", "ftp://example.org/x", b"x")
    layout(tmp_path / "old", origin.url("/up.nii"), b"up", local_path="../../../etc/passwd")
    with Inside(tmp_path / "vault", trusted=(origin.base,), clock=FakeClock(), settled=False, FREE_SPACE_FLOOR_MB=0) as inside:
        cache = inside.services.files.cache
        dry = import_layout(cache, tmp_path / "old", dry_run=True)
        assert (dry.read, dry.new, len(dry.rejected)) == (8, 3, 5)
        assert cache.totals() == (0, 0)
        report = import_layout(cache, tmp_path / "old")
        assert (report.read, report.new, report.same, len(report.rejected)) == (8, 3, 0, 5)
        assert [path.name for path in cache.root.glob("??/*.part*")] == []
        for url in urls:
            path = cache.peek(url)
            assert path is not None
            assert path.read_bytes() == url.encode() * 50
        again = import_layout(cache, tmp_path / "old")
        assert (again.new, again.same) == (0, 3)
        kept = cache.index.find(cache.remote(urls[0]).digest)
        assert kept is not None
        assert (kept.ttl_s, kept.checked_at, kept.hits) == (86400, 1_799_999_000.0, 4)
    assert origin.count() == 0


@pytest.mark.parametrize("text", ["", "[]", '{"entries": []}', '{"entries"', "\xff", "[" * 100_000])
def test_a_table_that_cannot_be_read_is_an_error_that_says_so(tmp_path: Path, origin: Origin, text: str) -> None:
    from image_cache.errors import TableRejected

    (tmp_path / "old").mkdir()
    (tmp_path / "old/cache_metadata.json").write_text(text, encoding="latin-1")
    with Inside(tmp_path / "vault", settled=False) as inside, pytest.raises(TableRejected):
        import_layout(inside.services.files.cache, tmp_path / "old")


def test_an_import_never_pushes_out_what_is_here(origin: Origin, tmp_path: Path) -> None:
    for n in range(4):
        layout(tmp_path / "old", f"https://example.org/{n}.bin", bytes([n]) * 400_000, last_accessed=1_700_000_000.0 + n)
    with Inside(tmp_path / "vault", settled=False, FILES_SIZE_MB=1, FREE_SPACE_FLOOR_MB=0) as inside:
        report = import_layout(inside.services.files.cache, tmp_path / "old")
        assert report.new == 2
        assert inside.services.files.cache.peek("https://example.org/3.bin", 1e12) is not None
        assert all("of cache space are left" in reason for _, reason in report.rejected)


# --- names


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/x/brain.nii.gz?sig=1", "brain.nii.gz"),
        ("https://a.example/", "file"),
        ("https://a.example/..%2f..%2fetc%2fpasswd", "_.._etc_passwd"),
        ("https://a.example/a%00b%0d%0a.nii", "a_b_.nii"),
        ("https://a.example/" + "x" * 300 + ".nii.gz", "x" * 113 + ".nii.gz"),
    ],
)
def test_a_name_is_what_people_would_call_it_and_harmless(url: str, name: str) -> None:
    assert name_of(url) == name


def test_the_ending_that_readers_go_by_stays() -> None:
    assert [suffix(name) for name in ("a.nii.gz", "a.mgz", "README", "a.b/c", "x.conn.nii")] == [
        ".nii.gz",
        ".mgz",
        "",
        "",
        ".conn.nii",
    ]


def test_two_addresses_of_one_file_are_one() -> None:
    assert parse_remote("HTTPS://Example.org:443/a b#x").digest == parse_remote("https://example.org/a%20b").digest
