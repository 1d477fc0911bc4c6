"""Every tunable of VinylVault in one table: name, default, unit, environment name, help. The only reader of the environment.

`Settings` is the table and the value: each field carries its environment names, unit and help. It is frozen, built once by
`load_settings` and passed down. `docs/SETTINGS.md` is generated from it (`python config.py`), a test compares the two.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from image_cache.errors import ConfigError
from image_cache.machine import machine_memory_bytes, physical_memory_bytes
from image_cache.resources import CHECKOUT
from image_cache.units import MEGABYTE

MAX_BODY_BYTES = 1_000_000  # of a request; 500 addresses of 2,048 characters fit
ALLOWED_IMAGE_EXTENSIONS = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp"}  # offered when files are chosen; decoding decides
# What a setting of several nodes needs beside it, and, where it matters, with which value.
NEEDS = {
    "NODE": {"DATABASE": ""},
    "VALKEY": {"DATABASE": ""},
    "VALKEY_PASSWORD_FILE": {"VALKEY": ""},
    "SHARED_VARIANTS": {"DATABASE": "", "STORAGE": "s3"},
    "DOWNLOADS_IN_ALL": {"DATABASE": ""},
    "DATABASE_MIGRATE": {"DATABASE": ""},
}
OURS = ("VINYL_VAULT_", "IMAGE_CACHE_")  # an unknown variable with one of these prefixes is a typing error


def setting(
    default: Any,
    help: str,
    *env: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """One row of the table. The first of `env` wins when several are set; None as default means "worked out at start"."""
    return dataclasses.field(
        default=default,
        metadata={"help": help, "env": env, "unit": unit, "low": low, "high": high, "choices": choices},
    )


def data_home() -> Path:
    """Return the folder of `var` and `.env`: the checkout, else the user's own for data (XDG Base Directory Specification)."""
    if CHECKOUT is not None:
        return CHECKOUT
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "vinylvault"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process. Build it with `load_settings`, or directly in tests."""

    # Where things live
    DATA_DIR: Path = setting(
        data_home() / "var",
        "Folder for all of VinylVault's data. Without a checkout: `~/.local/share/vinylvault/var`.",
        "VINYL_VAULT_DATA_DIR",
    )
    STATE_DIR: Path | None = setting(
        None,
        "Irreplaceable data: catalogue, original images, secrets. Back this up. Default: `state` in the data folder.",
        "VINYL_VAULT_STATE_DIR",
    )
    CACHE_DIR: Path | None = setting(
        None,
        "Cache folder. Safe to delete at any time. Must be on a local disk. Default: `cache` in the data folder.",
        "VINYL_VAULT_CACHE_DIR",
        "CACHE_DIR",
    )
    COVERS_DIR: Path | None = setting(None, "Rendered covers. Default: `covers` in the cache folder.", "VINYL_VAULT_COVERS_DIR")

    FILES_DIR: Path | None = setting(None, "Large files. Default: `files` in the cache folder.", "VINYL_VAULT_FILES_DIR")

    # The catalogue elsewhere
    DATABASE: str = setting(
        "",
        "Keep the catalogue in PostgreSQL 13 or newer: `postgresql://user@host:port/database`, without a password. TLS is required unless the host is this machine; `sslmode=verify-full` checks its name too. The register of covers and their jobs are there too. Several nodes can share it: [CLUSTER](CLUSTER.md). `backup` does not include it: use `pg_dump`. Empty: SQLite.",
        "VINYL_VAULT_DATABASE",
    )
    DATABASE_PASSWORD_FILE: Path | None = setting(
        None, "File with the password for PostgreSQL.", "VINYL_VAULT_DATABASE_PASSWORD_FILE"
    )
    DATABASE_SCHEMA: str = setting(
        "vinylvault", "Schema of the catalogue in that database. Created on first start.", "VINYL_VAULT_DATABASE_SCHEMA"
    )

    DATABASE_MIGRATE: str = setting(
        "auto",
        "What a new version does with a schema in PostgreSQL that is older: `auto` changes it on start, `check` waits until `vinylvault migrate` has.",
        "VINYL_VAULT_DATABASE_MIGRATE",
        choices=("auto", "check"),
    )

    # Many nodes
    NODE: str = setting(
        "",
        "Name of this node: lower-case letters, digits, `.` and `-`. Default: the host name and six random letters, kept in the cache folder.",
        "VINYL_VAULT_NODE",
    )
    VALKEY: str = setting(
        "",
        "Count the limits of requests and the views of streams over all nodes in Valkey or Redis: `valkey://host:6379/0`, with TLS `valkeys://`; `redis://` and `rediss://` are the same. Without a password. Empty, or while it is away: each node counts for itself.",
        "VINYL_VAULT_VALKEY",
    )
    VALKEY_PASSWORD_FILE: Path | None = setting(None, "File with the password for Valkey.", "VINYL_VAULT_VALKEY_PASSWORD_FILE")
    SHARED_VARIANTS: bool = setting(
        False,
        "Keep rendered covers in the S3 bucket of `VINYL_VAULT_S3_BUCKET` too, below `r/`, so that a node takes them from there instead of fetching them again.",
        "VINYL_VAULT_SHARED_VARIANTS",
    )
    DOWNLOADS_IN_ALL: int = setting(
        0,
        "Maximum concurrent downloads of all nodes together. 0: only the limit of each node and of each host.",
        "VINYL_VAULT_DOWNLOADS_IN_ALL",
        low=0,
        high=1000,
    )

    # The server
    HOST: str = setting("0.0.0.0", "Address to listen on.", "HOST")
    PORT: int = setting(5000, "Port to listen on.", "PORT", low=1, high=65535)
    WORKERS: int = setting(1, "Number of worker processes. One is right for a Pi.", "VINYL_VAULT_WORKERS", low=1, high=16)
    THREADS: int = setting(6, "Request threads per worker.", "VINYL_VAULT_THREADS", low=1, high=64)
    TRUSTED_HOSTS: tuple[str, ...] = setting(
        (), "Accepted `Host` names, comma-separated. Empty: accept all.", "VINYL_VAULT_TRUSTED_HOSTS"
    )
    TRUSTED_PROXIES: int = setting(
        0,
        "Number of reverse proxies in front of VinylVault. Their `X-Forwarded-*` headers are trusted.",
        "VINYL_VAULT_TRUSTED_PROXIES",
        unit="hops",
        low=0,
        high=5,
    )
    URL_PREFIX: str = setting(
        "",
        "Path prefix when a proxy serves VinylVault below a path, for example `/vinyl`. A trusted proxy can send `X-Forwarded-Prefix` instead.",
        "VINYL_VAULT_URL_PREFIX",
    )
    FRONT_DIR: Path | None = setting(
        None,
        "tmpfs folder shared with nginx (`systemd/nginx.conf`) for direct serving of covers and its hit log.",
        "VINYL_VAULT_FRONT_DIR",
    )
    SECRET_KEY_FILE: Path | None = setting(
        None,
        "File with the session signing key, at least 32 bytes. Default: `secret_key` in the state folder, created on first start.",
        "VINYL_VAULT_SECRET_KEY_FILE",
    )
    METRICS: bool = setting(
        False,
        "Serve Prometheus metrics at `/metrics`, to localhost and to requests with the metrics token.",
        "VINYL_VAULT_METRICS",
    )
    METRICS_TOKEN_FILE: Path | None = setting(
        None,
        "File with the bearer token for `/metrics`. Without it, only localhost has access.",
        "VINYL_VAULT_METRICS_TOKEN_FILE",
    )
    DEMO_ORIGIN: str = setting("", "Set by `vinylvault demo`. It has no effect in any other vault.", "VINYL_VAULT_DEMO_ORIGIN")
    DEBUG: bool = setting(False, "Log every request and fetch. Does not start a debugger.", "VINYL_VAULT_DEBUG")
    LOG_FILE: Path | None = setting(
        None,
        "Also write the log to this file, for example `vinylvault.log`. The systemd journal always has it; a log file adds SD card writes.",
        "VINYL_VAULT_LOG_FILE",
    )
    PAGE_SIZE: int = setting(60, "Records per page of the wall.", "VINYL_VAULT_PAGE_SIZE", unit="records", low=12, high=240)

    PUBLIC_NOTES: bool = setting(
        False,
        "Show your own notes, and the lines of imported notes with what you paid, to visitors too.",
        "VINYL_VAULT_PUBLIC_NOTES",
    )

    # The cache
    MAX_CACHE_SIZE_GB: float = setting(
        2.0, "Maximum size of the cover cache.", "VINYL_VAULT_CACHE_SIZE_GB", unit="GB", low=0.001, high=4096
    )
    CACHE_MAX_SIZE_MB: float | None = setting(
        None,
        "Maximum size of the cover cache in megabytes; overrides `VINYL_VAULT_CACHE_SIZE_GB`. Also the default maximum for large files.",
        "CACHE_MAX_SIZE_MB",
        unit="MB",
        low=1,
        high=4_194_304,
    )
    MEMORY_CACHE_SIZE_MB: float = setting(
        128.0,
        "Maximum size of the memory cache. Never more than 1/16 of the machine's memory.",
        "VINYL_VAULT_MEMORY_CACHE_SIZE_MB",
        unit="MB",
        low=1,
        high=65536,
    )
    IMAGE_CACHE_MAX_MEMORY_MB: float | None = setting(
        None,
        "Exact size of the memory cache; overrides `VINYL_VAULT_MEMORY_CACHE_SIZE_MB`.",
        "IMAGE_CACHE_MAX_MEMORY_MB",
        unit="MB",
        low=1,
        high=65536,
    )
    IMAGE_CACHE_TTL_HOURS: float = setting(
        24.0,
        "Time to live of a cover. Stale covers are still served and refreshed in the background.",
        "IMAGE_CACHE_TTL_HOURS",
        "CACHE_DEFAULT_TTL_HOURS",
        unit="hours",
        low=0,
        high=87600,
    )
    RETENTION_DAYS: float = setting(
        365.0,
        "Covers unused for this long are removed, unless their origin is unreachable.",
        "VINYL_VAULT_RETENTION_DAYS",
        unit="days",
        low=1,
        high=36500,
    )
    FREE_SPACE_FLOOR_MB: float = setting(
        200.0,
        "Minimum free disk space. Caching stops below it.",
        "VINYL_VAULT_FREE_SPACE_FLOOR_MB",
        unit="MB",
        low=0,
        high=4_194_304,
    )
    SCRUB_HOUR: int = setting(
        2,
        "Start hour of the nightly integrity check (up to 3 hours, 1/30 of the data per night). -1: off. "
        "Choose an hour when the machine is on.",
        "VINYL_VAULT_SCRUB_HOUR",
        unit="local time",
        low=-1,
        high=23,
    )
    SD_BUDGET_MB: float = setting(
        1000.0,
        "Daily write budget, to protect the SD card. Not enforced; the dashboard warns when it is exceeded.",
        "VINYL_VAULT_SD_BUDGET_MB",
        unit="MB",
        low=1,
        high=4_194_304,
    )
    SD_ENDURANCE_TB: float | None = setting(
        None,
        "Rated endurance of the SD card (TBW). If set, the dashboard estimates how long the card will last.",
        "VINYL_VAULT_SD_ENDURANCE_TB",
        unit="TB",
        low=0.1,
        high=100_000,
    )
    QUEUE_LIMIT: int = setting(
        10_000, "Maximum length of the job queue.", "VINYL_VAULT_QUEUE_LIMIT", unit="jobs", low=100, high=1_000_000
    )

    # The images
    THUMBNAIL_SIZE: int = setting(150, "Cover size on the wall.", "VINYL_VAULT_THUMBNAIL_SIZE", unit="px", low=32, high=600)
    DETAIL_SIZE: int = setting(600, "Cover size on the record page.", "VINYL_VAULT_DETAIL_SIZE", unit="px", low=200, high=2400)
    IMAGE_QUALITY: int = setting(85, "WebP quality.", "VINYL_VAULT_IMAGE_QUALITY", unit="1-100", low=1, high=100)
    RECIPE: str = setting(
        "fast",
        "Rendering: `fast`, or `quality` (twice the CPU time, for a difference few people see).",
        "VINYL_VAULT_RECIPE",
        choices=("fast", "quality"),
    )
    DECODE_BUDGET_MB: int = setting(
        256,
        "Memory limit for decoding one image. Images that would need more are rejected.",
        "VINYL_VAULT_DECODE_BUDGET_MB",
        unit="MB",
        low=64,
        high=4096,
    )

    # Origins
    TRUSTED_ORIGINS: tuple[str, ...] = setting(
        (),
        "Your own servers on private or loopback addresses that covers may be fetched from, comma-separated, for example `http://192.168.1.20:8080`. No ranges.",
        "VINYL_VAULT_TRUSTED_ORIGINS",
    )
    ORIGIN_ALLOWLIST: tuple[str, ...] = setting(
        (),
        "If set, fetch only from these hosts: `example.org`, or `.example.org` to include subdomains.",
        "VINYL_VAULT_ORIGIN_ALLOWLIST",
    )
    ORIGIN_DENYLIST: tuple[str, ...] = setting(
        (), "Never fetch from these hosts. Overrides all other lists.", "VINYL_VAULT_ORIGIN_DENYLIST"
    )
    CONTACT: str = setting(
        "", "Your email address or website, sent in the User-Agent so that origins can contact you.", "VINYL_VAULT_CONTACT"
    )
    MAX_CONCURRENT_DOWNLOADS: int = setting(
        3, "Maximum concurrent downloads.", "VINYL_VAULT_MAX_CONCURRENT_DOWNLOADS", low=1, high=16
    )
    DOWNLOADS_PER_HOST: int = setting(
        2, "Maximum concurrent downloads per host.", "VINYL_VAULT_DOWNLOADS_PER_HOST", low=1, high=16
    )
    FETCH_DEADLINE_S: float = setting(
        20.0, "Total time limit for one download.", "VINYL_VAULT_FETCH_DEADLINE_S", unit="s", low=1, high=600
    )
    MAX_FETCH_MB: float = setting(
        20.0, "Maximum size of a downloaded image.", "VINYL_VAULT_MAX_FETCH_MB", unit="MB", low=1, high=200
    )

    # Discogs
    DISCOGS_API_URL: str = setting(
        "https://api.discogs.com",
        "URL of the Discogs API. Plain http is allowed only for servers in `VINYL_VAULT_TRUSTED_ORIGINS`.",
        "VINYL_VAULT_DISCOGS_API_URL",
    )
    DISCOGS_CALLS: int = setting(
        55,
        "Maximum Discogs API requests per window. Discogs allows 60.",
        "VINYL_VAULT_DISCOGS_CALLS",
        unit="calls",
        low=1,
        high=59,
    )
    DISCOGS_WINDOW_S: float = setting(
        60.0, "Length of the Discogs rate limit window.", "VINYL_VAULT_DISCOGS_WINDOW_S", unit="s", low=0.1, high=3600
    )
    DISCOGS_REFRESH_HOURS: float = setting(
        6.0,
        "How often to sync with Discogs. 0: only on request. The Discogs API terms require 6 or less.",
        "VINYL_VAULT_DISCOGS_REFRESH_HOURS",
        unit="hours",
        low=0,
        high=168,
    )
    DISCOGS_TRACKS: bool = setting(
        True,
        "Fetch the tracklists of all records from Discogs in the background, so that songs are found.",
        "VINYL_VAULT_DISCOGS_TRACKS",
    )
    DISCOGS_VALUES: bool = setting(
        False,
        "Fetch what each record is offered for at Discogs in the background, for members only.",
        "VINYL_VAULT_DISCOGS_VALUES",
    )
    CURRENCY: str = setting(
        "EUR",
        "Currency of values from Discogs.",
        "VINYL_VAULT_CURRENCY",
        choices=("USD", "GBP", "EUR", "CAD", "AUD", "JPY", "CHF", "MXN", "BRL", "NZD", "SEK", "ZAR"),
    )
    DISCOGS_HIDE_STALE: bool = setting(
        False,
        "Hide Discogs covers if the last sync was more than 6 hours ago. Titles stay visible.",
        "VINYL_VAULT_DISCOGS_HIDE_STALE",
    )

    # Scrobbling
    LISTENBRAINZ_API_URL: str = setting(
        "https://api.listenbrainz.org",
        "URL of ListenBrainz, or of a server that speaks its API. Used only for accounts that connect it.",
        "VINYL_VAULT_LISTENBRAINZ_API_URL",
    )
    LASTFM_API_URL: str = setting(
        "https://ws.audioscrobbler.com/2.0",
        "URL of the Last.fm API. Used only for accounts that connect it.",
        "VINYL_VAULT_LASTFM_API_URL",
    )
    LASTFM_API_KEY: str = setting(
        "", "Key of your own API account at Last.fm. Without it, no one can connect Last.fm.", "VINYL_VAULT_LASTFM_API_KEY"
    )
    LASTFM_SECRET_FILE: Path | None = setting(None, "File with the secret of that API account.", "VINYL_VAULT_LASTFM_SECRET_FILE")

    # Covers for records that have none
    FIND_COVERS: bool = setting(
        True,
        "Search MusicBrainz and the Cover Art Archive for missing covers. Sends title, artist, barcode and catalogue number.",
        "VINYL_VAULT_FIND_COVERS",
    )
    MUSICBRAINZ_API_URL: str = setting(
        "https://musicbrainz.org/ws/2", "URL of the MusicBrainz API or a mirror.", "VINYL_VAULT_MUSICBRAINZ_API_URL"
    )
    COVER_ART_URL: str = setting("https://coverartarchive.org", "URL of the Cover Art Archive.", "VINYL_VAULT_COVER_ART_URL")

    # Streams
    STREAM_IMAGES_DIR: Path | None = setting(
        None,
        "Original stream images (irreplaceable). Default: `stream_images` in the state folder.",
        "VINYL_VAULT_STREAM_IMAGES_DIR",
    )
    MAX_STREAM_IMAGES_PER_STREAM: int = setting(
        50,
        "Maximum number of images per stream.",
        "VINYL_VAULT_MAX_STREAM_IMAGES_PER_STREAM",
        "MAX_STREAM_IMAGES_PER_STREAM",
        unit="images",
        low=1,
        high=10_000,
    )
    MAX_IMAGE_UPLOAD_SIZE_MB: float = setting(
        20.0,
        "Maximum size of an uploaded image.",
        "VINYL_VAULT_MAX_IMAGE_UPLOAD_SIZE_MB",
        "MAX_IMAGE_UPLOAD_SIZE_MB",
        unit="MB",
        low=0.01,
        high=200,
    )
    MAX_VIDEO_UPLOAD_SIZE_MB: float = setting(
        100.0,
        "Maximum size of an uploaded video. Videos need the package ffmpeg. 0: no videos.",
        "VINYL_VAULT_MAX_VIDEO_UPLOAD_SIZE_MB",
        unit="MB",
        low=0,
        high=2000,
    )
    MAX_UPLOAD_REQUEST_MB: float = setting(
        220.0,
        "Maximum total size of one upload request.",
        "VINYL_VAULT_MAX_UPLOAD_REQUEST_MB",
        unit="MB",
        low=1,
        high=4096,
    )
    STREAM_QUOTA_MB: float = setting(
        0.0,
        "Maximum size of all images that the streams of one owner hold, with their trash. 0: no limit. Operators can set another value for an account.",
        "VINYL_VAULT_STREAM_QUOTA_MB",
        unit="MB",
        low=0,
        high=100_000_000,
    )
    STREAM_CACHE_SIZE_MB: float = setting(
        256.0,
        "Maximum size of the stream image cache.",
        "VINYL_VAULT_STREAM_CACHE_SIZE_MB",
        unit="MB",
        low=1,
        high=65536,
    )
    PAGE_MEMORY_MB: tuple[str, ...] = setting(
        (),
        "Memory cache limits for single pages, comma-separated, for example `stream_gallery=8,stream_browser=4`.",
        "VINYL_VAULT_PAGE_MEMORY_MB",
        unit="MB",
    )
    STORAGE: str = setting(
        "local", "Storage for original images: `local` or `s3`.", "VINYL_VAULT_STORAGE", choices=("local", "s3")
    )
    S3_BUCKET: str = setting("", "S3 bucket for original images.", "VINYL_VAULT_S3_BUCKET")
    S3_ENDPOINT: str = setting("", "S3 endpoint if you do not use AWS: `https://host:port`.", "VINYL_VAULT_S3_ENDPOINT")
    S3_REGION: str = setting("us-east-1", "S3 region.", "VINYL_VAULT_S3_REGION")
    S3_PREFIX: str = setting("", "Folder in the S3 bucket.", "VINYL_VAULT_S3_PREFIX")
    S3_ACCESS_KEY: str = setting(
        "", "S3 access key. If empty, the standard AWS environment is used.", "VINYL_VAULT_S3_ACCESS_KEY"
    )
    S3_SECRET_KEY_FILE: Path | None = setting(None, "File with the S3 secret key.", "VINYL_VAULT_S3_SECRET_KEY_FILE")

    # Tables
    MAX_IMPORT_MB: float = setting(
        256.0,
        "Maximum size of an uploaded table. No limit on the command line or in the `imports` folder.",
        "VINYL_VAULT_MAX_IMPORT_MB",
        unit="MB",
        low=1,
        high=4096,
    )

    # Large files
    FILES_SIZE_MB: float | None = setting(
        None,
        "Maximum size of the large-file cache. Default: `CACHE_MAX_SIZE_MB`, otherwise 1024. Can be changed at `/files`.",
        "VINYL_VAULT_FILES_SIZE_MB",
        unit="MB",
        low=1,
        high=67_108_864,
    )
    FILES_TTL_HOURS: float | None = setting(
        None,
        "Time to live of a large file. Default: same as covers. Can be changed at `/files`.",
        "VINYL_VAULT_FILES_TTL_HOURS",
        unit="hours",
        low=0,
        high=87600,
    )
    IMAGE_SERVER: str = setting(
        "",
        "Base URL for relative large-file URLs. May be a private server. Not used for covers.",
        "IMAGE_SERVER",
    )
    IMAGE_SERVER_CA: Path | None = setting(
        None, "CA certificate file for `IMAGE_SERVER` if it uses a self-signed certificate.", "VINYL_VAULT_IMAGE_SERVER_CA"
    )

    # Folders of music
    MUSIC_DIRS: tuple[str, ...] = setting(
        (),
        "Music folders to import albums from, comma-separated. Never written to.",
        "VINYL_VAULT_MUSIC_DIRS",
    )
    MUSIC_PARENTS: tuple[str, ...] = setting(
        ("/media", "/run/media", "/mnt", "/srv"),
        "Parent folders in which operators may add music folders, comma-separated. `none`: turned off.",
        "VINYL_VAULT_MUSIC_PARENTS",
    )
    MUSIC_RESCAN_HOURS: float = setting(
        24.0,
        "How often to rescan music folders. 0: never. A drive is always scanned when it is plugged in.",
        "VINYL_VAULT_MUSIC_RESCAN_HOURS",
        unit="hours",
        low=0,
        high=8760,
    )

    @property
    def state_dir(self) -> Path:
        return self.STATE_DIR or self.DATA_DIR / "state"

    @property
    def cache_dir(self) -> Path:
        return self.CACHE_DIR or self.DATA_DIR / "cache"

    @property
    def covers_dir(self) -> Path:
        return self.COVERS_DIR or self.cache_dir / "covers"

    @property
    def files_dir(self) -> Path:
        return self.FILES_DIR or self.cache_dir / "files"

    @property
    def files_budget_bytes(self) -> int:
        return int((self.FILES_SIZE_MB or self.CACHE_MAX_SIZE_MB or 1024) * MEGABYTE)

    @property
    def files_ttl_s(self) -> float:
        return (self.IMAGE_CACHE_TTL_HOURS if self.FILES_TTL_HOURS is None else self.FILES_TTL_HOURS) * 3600

    @property
    def index_path(self) -> Path:
        return self.cache_dir / "index.db"

    @property
    def catalog_path(self) -> Path:
        return self.state_dir / "catalog.db"

    @property
    def secret_key_path(self) -> Path:
        return self.SECRET_KEY_FILE or self.state_dir / "secret_key"

    @property
    def discogs_token_path(self) -> Path:
        """Secret: it opens the whole Discogs account."""
        return self.state_dir / "discogs_token"

    @property
    def alerts_path(self) -> Path:
        """Secret: where alerts are sent, with the tokens and passwords for it."""
        return self.state_dir / "alert_secrets.json"

    @property
    def origin_credentials_path(self) -> Path:
        """Secret: the logins for origins of large files."""
        return self.state_dir / "origin_credentials"

    @property
    def file_registries_dir(self) -> Path:
        return self.state_dir / "file_registries"

    @property
    def stream_images_dir(self) -> Path:
        return self.STREAM_IMAGES_DIR or self.state_dir / "stream_images"

    @property
    def own_covers_dir(self) -> Path:
        """Precious: covers that people uploaded for a record."""
        return self.state_dir / "own_covers"

    @property
    def imports_dir(self) -> Path:
        """The folder of tables to import."""
        return self.DATA_DIR / "imports"

    @property
    def intray_dir(self) -> Path:
        """Uploaded tables until their import ends."""
        return self.state_dir / "intray"

    @property
    def stream_cache_dir(self) -> Path:
        """Private: never below the covers, which anyone may request."""
        return self.cache_dir / "streams"

    @property
    def page_budgets(self) -> dict[str, int]:
        """Bytes of the memory tier that single pages may hold."""
        pairs = (part.partition("=") for part in self.PAGE_MEMORY_MB)
        return {page.strip(): int(float(megabytes) * MEGABYTE) for page, _, megabytes in pairs}

    @property
    def stream_memory_bytes(self) -> int:
        """What stream images have of the memory tier; covers have the rest."""
        return self.memory_budget_bytes // 4

    @property
    def disk_budget_bytes(self) -> int:
        if self.CACHE_MAX_SIZE_MB is not None:
            return int(self.CACHE_MAX_SIZE_MB * MEGABYTE)
        return int(self.MAX_CACHE_SIZE_GB * 1_000_000_000)

    @property
    def floor_bytes(self) -> int:
        """Bytes of the disk that stay free."""
        return int(self.FREE_SPACE_FLOOR_MB * MEGABYTE)

    @property
    def max_fetch_bytes(self) -> int:
        return int(self.MAX_FETCH_MB * MEGABYTE)

    @property
    def max_import_bytes(self) -> int:
        return int(self.MAX_IMPORT_MB * MEGABYTE)

    @property
    def max_image_upload_bytes(self) -> int:
        return int(self.MAX_IMAGE_UPLOAD_SIZE_MB * MEGABYTE)

    @property
    def max_video_upload_bytes(self) -> int:
        return int(self.MAX_VIDEO_UPLOAD_SIZE_MB * MEGABYTE)

    @property
    def stream_quota_bytes(self) -> int:
        return int(self.STREAM_QUOTA_MB * MEGABYTE)

    @property
    def max_upload_request_bytes(self) -> int:
        return int(self.MAX_UPLOAD_REQUEST_MB * MEGABYTE)

    @property
    def sd_budget_bytes(self) -> int:
        return int(self.SD_BUDGET_MB * MEGABYTE)

    @property
    def sd_endurance_bytes(self) -> int | None:
        return None if self.SD_ENDURANCE_TB is None else int(self.SD_ENDURANCE_TB * 1_000_000_000_000)

    @property
    def memory_budget_bytes(self) -> int:
        """The memory tier's share: the value of the setting, else the ceiling or a sixteenth of the machine's memory."""
        if self.IMAGE_CACHE_MAX_MEMORY_MB is not None:
            return int(self.IMAGE_CACHE_MAX_MEMORY_MB * MEGABYTE)
        return min(int(self.MEMORY_CACHE_SIZE_MB * MEGABYTE), machine_memory_bytes() // 16)

    @property
    def decode_budget_bytes(self) -> int:
        """The decoder's share: the setting, and never more than half of what the service may use or a third of the machine's memory."""
        share = min(machine_memory_bytes() // 2, physical_memory_bytes() // 3)
        return min(self.DECODE_BUDGET_MB << 20, max(share, 64 << 20))


def load_settings(environ: Mapping[str, str] | None = None, *, dotenv: Path | None = None) -> Settings:
    """Build the settings from the environment, and from a `.env` file for what the environment does not say.

    Raises `ConfigError` that names the variable when one of ours is unknown or has a value that cannot be used.
    """
    env = dict(os.environ if environ is None else environ)
    path = dotenv or data_home() / ".env"
    if (dotenv or environ is None) and path.is_file():
        from dotenv import dotenv_values  # only when there is a file to read

        env = {**{k: v for k, v in dotenv_values(path).items() if v is not None}, **env}

    types = get_type_hints(Settings)
    known: set[str] = set()
    values: dict[str, Any] = {}
    for row in dataclasses.fields(Settings):
        for name in row.metadata["env"]:
            known.add(name)
            if row.name not in values and env.get(name, "").strip():
                values[row.name] = _parse(name, env[name].strip(), types[row.name], row.metadata)
    for name in sorted(env):
        if name.startswith(OURS) and name not in known:
            raise ConfigError(name, f"unknown setting; {_nearest(name, known)}see docs/SETTINGS.md for the list")
    _check_addresses(values)
    return Settings(**values)


def _nearest(name: str, known: Collection[str]) -> str:
    from difflib import get_close_matches  # only when a start fails

    near = get_close_matches(name, known, n=1, cutoff=0.85)
    return f"did you mean {near[0]}? Otherwise " if near else ""


def _check_addresses(values: dict[str, Any]) -> None:
    """Normalise origins, hosts and paths. Raises `ConfigError`."""
    if "TRUSTED_ORIGINS" in values:
        values["TRUSTED_ORIGINS"] = tuple(_origin(origin) for origin in values["TRUSTED_ORIGINS"])
    if "URL_PREFIX" in values:
        values["URL_PREFIX"] = values["URL_PREFIX"].rstrip("/")
        if values["URL_PREFIX"] and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", values["URL_PREFIX"]):
            raise ConfigError("VINYL_VAULT_URL_PREFIX", f"{values['URL_PREFIX']!r} must be a path such as /vinyl")
    if "TRUSTED_HOSTS" in values:
        values["TRUSTED_HOSTS"] = tuple(host.lower() for host in values["TRUSTED_HOSTS"])
    for name in ("DISCOGS_API_URL", "LISTENBRAINZ_API_URL", "LASTFM_API_URL"):
        base = values.get(name, "https:")
        if name in values and not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", base):
            raise ConfigError(f"VINYL_VAULT_{name}", f"{base!r} must be a URL such as https://api.example.org")
        if base.startswith("http:") and _origin("/".join(base.split("/")[:3])) not in values.get("TRUSTED_ORIGINS", ()):
            raise ConfigError(f"VINYL_VAULT_{name}", "use https, or list the server in VINYL_VAULT_TRUSTED_ORIGINS")
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,55}", values.get("DATABASE_SCHEMA", "vinylvault")):
        raise ConfigError(
            "VINYL_VAULT_DATABASE_SCHEMA", f"{values['DATABASE_SCHEMA']!r} must be lower-case letters, digits and _"
        )
    _check_nodes(values)
    for part in values.get("PAGE_MEMORY_MB", ()):
        if not re.fullmatch(r"[a-z0-9_]{1,40}\s*=\s*[0-9]{1,6}(\.[0-9]+)?", part):
            raise ConfigError("VINYL_VAULT_PAGE_MEMORY_MB", f"{part!r} must be page=megabytes, for example stream_gallery=8")


def _check_nodes(values: dict[str, Any]) -> None:
    """Check the settings of several nodes; one that would have no effect is refused. Raises `ConfigError`."""
    name = values.get("NODE", "")
    if name and not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", name):
        raise ConfigError("VINYL_VAULT_NODE", f"{name!r} must be up to 63 lower-case letters, digits, . and -")
    url = values.get("VALKEY", "")
    if url and not re.fullmatch(
        r"(valkey|redis)s?://([^\s:@/?#]+@)?(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?(/[0-9]{0,3})?", url
    ):
        hint = "a URL such as valkey://localhost:6379/0, with its password in VINYL_VAULT_VALKEY_PASSWORD_FILE"
        raise ConfigError("VINYL_VAULT_VALKEY", f"must be {hint}")
    for row in [row for row in NEEDS if values.get(row)]:
        for other, value in NEEDS[row].items():
            if not values.get(other) or values[other] != (value or values[other]):
                wanted = f"VINYL_VAULT_{other}={value}".removesuffix("=")
                raise ConfigError(f"VINYL_VAULT_{row}", f"has no effect without {wanted}")


def __getattr__(name: str) -> Any:
    """Settings as module constants, for scripts: `from config import STREAM_IMAGES_DIR, IMAGE_CACHE_DIR`. Read when requested."""
    worked_out: Mapping[str, Callable[[Settings], Any]] = {
        "STATE_DIR": lambda settings: settings.state_dir,
        "CACHE_DIR": lambda settings: settings.cache_dir,
        "COVERS_DIR": lambda settings: settings.covers_dir,
        "FILES_DIR": lambda settings: settings.files_dir,
        "SECRET_KEY_FILE": lambda settings: settings.secret_key_path,
        "STREAM_IMAGES_DIR": lambda settings: settings.stream_images_dir,
        "IMAGE_CACHE_DIR": lambda settings: settings.stream_cache_dir,
        "IMAGE_CACHE_MAX_MEMORY_MB": lambda settings: settings.memory_budget_bytes / MEGABYTE,
        "CACHE_MAX_SIZE_MB": lambda settings: settings.disk_budget_bytes / MEGABYTE,
        "FILES_SIZE_MB": lambda settings: settings.files_budget_bytes / MEGABYTE,
        "FILES_TTL_HOURS": lambda settings: settings.files_ttl_s / 3600,
    }
    if name in worked_out:
        return worked_out[name](load_settings())
    if name in {row.name for row in dataclasses.fields(Settings)}:
        return getattr(load_settings(), name)
    raise AttributeError(f"module 'config' has no attribute {name!r}")


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _origin(text: str) -> str:
    """Return an origin as `scheme://host:port` in lower case, with the port that its scheme implies. Raises `ConfigError`."""
    found = re.fullmatch(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?/?", text.lower())
    if found is None or not 0 < int(found[3] or 80) < 65536:
        problem = f"{text!r} must be scheme://host:port, for example http://192.168.1.20:8080"
        raise ConfigError("VINYL_VAULT_TRUSTED_ORIGINS", problem)
    return f"{found[1]}://{found[2]}:{found[3] or (443 if found[1] == 'https' else 80)}"


def _bool(text: str) -> bool:
    return _WORDS[text.lower()]


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


_PARSERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    bool: (_bool, "1 or 0"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    float | None: (float, "a number"),
    str: (str, "text"),
    tuple[str, ...]: (_list, "a list"),
    Path: (_path, "a path"),
    Path | None: (_path, "a path"),
}


def _parse(name: str, text: str, kind: Any, row: Mapping[str, Any]) -> Any:
    parse, expected = _PARSERS[kind]
    try:
        value = parse(text)
    except (ValueError, KeyError):
        raise ConfigError(name, f"{text!r} is invalid; use {expected}") from None
    low, high, choices = row["low"], row["high"], row["choices"]
    if choices and value not in choices:
        raise ConfigError(name, f"{text!r} is invalid; choose one of {', '.join(choices)}")
    # `not (value >= low)` instead of `value < low`: NaN fails every comparison and must not slip through.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ConfigError(
            name, f"{text} must be between {low or 0:g} and {high:g}" if high else f"{text} must be at least {low:g}"
        )
    return value


# The field that a topic begins with -> its heading in the document.
TOPICS = {
    "DATA_DIR": "Folders",
    "DATABASE": "PostgreSQL",
    "NODE": "Many nodes",
    "HOST": "Server",
    "MAX_CACHE_SIZE_GB": "Cache",
    "THUMBNAIL_SIZE": "Images",
    "TRUSTED_ORIGINS": "Downloads",
    "DISCOGS_API_URL": "Discogs",
    "LISTENBRAINZ_API_URL": "Scrobbling",
    "FIND_COVERS": "Missing covers",
    "STREAM_IMAGES_DIR": "Streams",
    "MAX_IMPORT_MB": "Tables",
    "FILES_SIZE_MB": "Large files",
    "MUSIC_DIRS": "Music folders",
}


def settings_document() -> str:
    """Return the text of `docs/SETTINGS.md`."""
    lines = [
        "# Settings",
        "",
        "Generated from `config.Settings` by `python config.py > docs/SETTINGS.md`. Each is an environment variable. A `.env` file next",
        "to `var` is read too; the environment wins. On a server that was installed with `install.sh` they are in `/etc/vinylvault.env`:",
        "restart the service after a change. A bad value, or an unknown name that begins with `VINYL_VAULT_` or `IMAGE_CACHE_`, stops the",
        "start and is named.",
    ]
    for row in dataclasses.fields(Settings):
        if row.name in TOPICS:
            lines += ["", f"## {TOPICS[row.name]}", "", "| variable | default | unit | what it does |", "|---|---|---|---|"]
        default = row.default
        if isinstance(default, Path):
            default = default.relative_to(data_home())
        if isinstance(default, tuple):
            default = ",".join(default)
        shown = "" if default in (None, (), "") else f"`{int(default) if isinstance(default, bool) else default}`"
        names = " or ".join(f"`{name}`" for name in row.metadata["env"])
        lines.append(f"| {names} | {shown} | {row.metadata['unit']} | {row.metadata['help']} |")
    return "\n".join(lines) + "\n"
