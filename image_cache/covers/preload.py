"""Preload of covers that a client names by URL or digest: accepted, refused one by one, enqueued."""

from collections.abc import Sequence

from image_cache.covers.service import ImageCache
from image_cache.engine.jobs import WARM
from image_cache.engine.key import DIGEST
from image_cache.frozen import frozen


@frozen
class Preload:
    """What became of each name: `digests` of the accepted ones, reasons of the `refused` ones. `job` names the batch, if there is one."""

    digests: dict[str, str]
    refused: dict[str, str]
    job: str

    def is_accepted(self, name: str) -> bool:
        return name in self.digests


def preload(covers: ImageCache, names: Sequence[str], priority: int, *, may_register: bool) -> Preload:
    """Enqueue covers. Unknown URLs are refused, unless the client `may_register` them. Raises `QueueFull`."""
    urls = [name for name in names if not DIGEST.fullmatch(name)]
    refused = covers.register_addresses(urls) if urls and may_register else {}
    digests = {name: name if DIGEST.fullmatch(name) else covers.digest_of(name) for name in names if name not in refused}
    states = {cover.digest: cover.state for cover in covers.states(list(digests.values()))}
    accepted = {name: digest for name, digest in digests.items() if states[digest] not in ("none", "failed")}
    for name in names:
        if name not in accepted:
            is_given_up = name in digests and states[digests[name]] == "failed"
            refused.setdefault(
                name, "failed too often; not retried for now" if is_given_up else "URL not registered: it belongs to no record"
            )
    job = ""
    if accepted and priority == WARM:
        job = covers.preload_digests(list(accepted.values()), priority)
    elif accepted:
        covers.enqueue_digests(list(accepted.values()), priority)
    return Preload(accepted, refused, job)
