"""N nodes as real processes on shared engines: PostgreSQL, Valkey, an S3 store, and an origin that counts.

    with Engines(folder) as engines, Cluster(engines, 2) as cluster:
        one, other = cluster.nodes
        other.links["postgres"].mode = "blackhole"

Engines serve all tests of a file; each cluster has a schema, a prefix in the bucket and a database in Valkey of its own.
"""

import dataclasses
import itertools
import os
import secrets
import signal
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from image_cache.config import Settings
from tests.cluster.link import Link
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.postgres import USER, Postgres
from tests.support.s3 import S3Server
from tests.support.valkey import Valkey
from tests.support.vault import Vault, wait_until

ENGINES = ("postgres", "valkey", "s3")
SETTINGS = {field.name for field in dataclasses.fields(Settings)}
_numbers = itertools.count(1)


class Engines:
    """The servers that nodes share, each on one port for as long as it is used, also when it is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.postgres = stack.enter_context(Postgres(port=(port := free_port())))
            self.valkey = stack.enter_context(Valkey())
            self.s3 = stack.enter_context(S3Server(self.folder / "s3"))
            self._stack = stack.pop_all()
        self.ports = {"postgres": port, "valkey": self.valkey.port, "s3": self.s3.port}
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Node(Vault):
    """One node: the server as it runs in production, its own cache and state folder, and a link to each engine."""

    def __init__(self, cluster: "Cluster", number: int, **env: str) -> None:
        engines = cluster.engines
        self.cluster = cluster
        self.name = f"node{number}"
        self.links = {engine: Link(engines.ports[engine]) for engine in ENGINES}
        self._is_paused = False
        s3 = engines.s3.settings(cluster.folder / "s3.secret")
        settings = {
            **s3,
            "S3_ENDPOINT": f"http://127.0.0.1:{self.links['s3'].port}",
            "S3_PREFIX": cluster.name,
            "DATABASE": f"postgresql://{USER}@127.0.0.1:{self.links['postgres'].port}/{USER}",
            "DATABASE_SCHEMA": cluster.name,
            "SECRET_KEY_FILE": cluster.folder / "secret",
            "NODE": self.name,
            "VALKEY": f"valkey://127.0.0.1:{self.links['valkey'].port}/{cluster.number % 16}",
            "SHARED_VARIANTS": "1",
            "FREE_SPACE_FLOOR_MB": "0",
        }
        ours = {f"VINYL_VAULT_{name}": str(value) for name, value in settings.items() if name in SETTINGS}
        super().__init__(cluster.folder / self.name, trusted=cluster.trusted, **{**ours, **env})

    def pause(self) -> None:
        """Let all its processes stand still, as a machine that sleeps."""
        assert self.process is not None
        self._is_paused = True
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self._is_paused = False
        os.killpg(self.process.pid, signal.SIGCONT)

    def heal(self) -> None:
        """Let all engines be reached again."""
        for link in self.links.values():
            link.mode = "pass"

    def close(self) -> None:
        if self._is_paused:
            self.resume()
        self.heal()
        try:
            self.stop()
        finally:
            for link in self.links.values():
                link.close()

    def files(self, folder: str = "cache", ends: str = ".webp") -> list[Path]:
        """Return the files of one of its folders."""
        return [path for path in (self.folder / folder).rglob(f"*{ends}") if path.is_file()]


class Cluster:
    """`with Cluster(engines, n) as cluster:` has n nodes that serve; `add` starts another one."""

    def __init__(self, engines: Engines, count: int, *, origins: Iterable[Origin] = (), **env: str) -> None:
        self.engines = engines
        self.number = next(_numbers)
        self.name = f"cluster{self.number}"
        self.folder = engines.folder / self.name
        self.trusted = tuple(origin.base for origin in origins)
        self.folder.mkdir()
        (self.folder / "secret").write_text(secrets.token_hex(32), encoding="ascii")
        self._env = env
        self.nodes = [Node(self, number, **env) for number in range(1, count + 1)]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(Node.close, self.nodes))

    def add(self, **env: str) -> Node:
        """Start another node, with an empty cache."""
        node = Node(self, len(self.nodes) + 1, **{**self._env, **env})
        self.nodes.append(node)
        node.start()
        return node

    def rows(self, sql: str) -> list[list[str]]:
        """Return what a statement finds in the schema that the nodes share, each value as text."""
        with_schema = f"SET search_path = {self.name}; {sql}"
        return self.engines.postgres.rows(USER, with_schema)

    def covers(self, sql: str) -> list[list[str]]:
        """The same in the schema of the register that the nodes share."""
        return self.engines.postgres.rows(USER, f"SET search_path = {self.name}_covers; {sql}")

    def objects(self) -> list[Path]:
        """Return the objects that the store holds for these nodes."""
        return sorted(path for path in (self.engines.s3.folder).rglob("*") if path.is_file() and self.name in path.parts)


def each_gets(nodes: Iterable[Vault], paths: Iterable[str]) -> Iterator[tuple[Vault, str, bytes]]:
    """Get every path from every node, eight at a time, until the whole image is there; yield (node, path, bytes).

    Raises `AssertionError` if a path is answered by anything but a placeholder or the image.
    """

    def get(pair: tuple[Vault, str]) -> tuple[Vault, str, bytes]:
        node, path = pair
        found: list[bytes] = []

        def has_come() -> bool:
            reply = node.get(path)
            assert reply.status in (200, 202), (path, reply)
            found[:] = [reply.body] * (reply.status == 200)
            return bool(found)

        wait_until(has_come, 120)
        return node, path, found[0]

    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(get, list(itertools.product(nodes, paths)))


def opens(url: str) -> bool:
    """Return True if something answers there without an error."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True
