"""Warm covers as the main loop of the server sees them: the same headers, uses counted later, nothing once it was dropped."""

from pathlib import Path

from image_cache.covers import NAMESPACE
from image_cache.engine.key import Key
from image_cache.server.fast_path import FastPath
from image_cache.web.context import WARM
from tests.support.inside import Inside
from tests.support.origin import Origin


def asked(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: vault\r\n\r\n".encode()


def test_uses_are_counted_as_those_of_the_application(tmp_path: Path, origin: Origin) -> None:
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        digest = inside.cover(origin)
        key = Key(NAMESPACE, "thumbnails", digest)
        memory, path = inside.services.covers.cache.memory, f"/cache/thumbnails/{digest}.webp"
        other = Key(NAMESPACE, "detail", digest)
        assert inside.slow_way().get(path).status_code == 200
        memory.put(other, bytes(100_000))
        memory.drain_touched()
        memory.drain_hits()
        fast_path = FastPath(inside.app.extensions[WARM], "gunicorn")
        for _ in range(3):
            assert fast_path.respond(asked(path)) is not None
        fast_path.flush()
        assert memory.drain_hits() == 3
        assert memory.drain_touched() == {key}
        memory.set_budget(memory.stats().used_bytes)  # evicts the least recently used
        assert memory.peek(key) is not None
        assert memory.peek(other) is None


def test_what_was_dropped_in_whatever_way_is_not_served(tmp_path: Path, origin: Origin) -> None:
    with Inside(tmp_path / "vault", trusted=(origin.base,)) as inside:
        digest = inside.cover(origin)
        memory, path = inside.services.covers.cache.memory, f"/cache/thumbnails/{digest}.webp"
        key = Key(NAMESPACE, "thumbnails", digest)
        fast_path = FastPath(inside.app.extensions[WARM], "gunicorn")
        drops = {
            "deleted": lambda: memory.delete(key),
            "cleared": memory.clear,
            "without its page": lambda: memory.clear_scope("page"),
            "evicted": lambda: memory.set_budget(3),
        }
        for how, drop in drops.items():
            memory.put(key, b"body", "page")
            answer = fast_path.respond(asked(path))
            assert answer is not None
            assert answer[2] == b"body"
            drop()
            assert fast_path.respond(asked(path)) is None, how
