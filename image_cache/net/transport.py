"""HTTP transport: the peer policy, applied where urllib3 makes its sockets.

Redirects and DNS rebinding all pass here, nothing is sent twice. Certificates are always verified against the host name.
"""

import http.client
import logging
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import certifi
from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout
from urllib3.util import parse_url as split_url

from image_cache.net.deadline import current_deadline
from image_cache.net.policy import PeerPolicy
from image_cache.net.url import Endpoint, Target, canonical_host

MAX_INTERIM = 20  # responses before the real one
HOSTS, CONNECTIONS = 8, 4  # kept open: as many hosts, as many connections of each


class _FinalResponse(http.client.HTTPResponse):
    """Skips interim responses (102 Processing, 103 Early Hints), as browsers do; http.client itself skips 100 alone."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 102 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {MAX_INTERIM} interim responses")


class _Guarded(HTTPConnection):
    """A connection whose socket comes from the policy, and is guarded by the deadline of its fetch."""

    policy: ClassVar[PeerPolicy]
    scheme: ClassVar[str]
    response_class = _FinalResponse

    def _new_conn(self) -> socket.socket:
        deadline = current_deadline.get()
        if deadline is None:
            raise RuntimeError("a guarded connection is only made inside a fetch")
        peer = Endpoint(self.scheme, self.host.strip("[]"), self.port)
        timeout_s = float(self.timeout or deadline.seconds)
        sock = self.policy.dial(peer, timeout_s, deadline)
        sock.settimeout(min(timeout_s, max(deadline.remaining_s(), 0.001)))  # for the TLS handshake, which is part of the time
        return sock

    def getresponse(self) -> Any:
        # Every connection passes here, new or from the pool, and from here on it may wait.
        deadline = current_deadline.get()
        if deadline is not None and self.sock is not None:
            deadline.guard(self.sock)
        return super().getresponse()


def _pool_classes(rules: PeerPolicy) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Guarded):
        policy = rules
        scheme = "http"

    class Secure(_Guarded, HTTPSConnection):
        policy = rules
        scheme = "https"

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


@cache
def _tls_context(authorities: str) -> ssl.SSLContext:
    """Return the context for a file of certificate authorities. The public ones take 1.5 MB: all clients share them."""
    return ssl.create_default_context(cafile=authorities)


class GuardedTransport:
    """Connects only where the policy allows, without cookies and without the proxies and passwords of the environment.

    `private_cas`: host to certificate file, for hosts with a private certificate authority. Any thread; connections are pooled.
    """

    def __init__(self, policy: PeerPolicy, private_cas: Mapping[str, Path] | None = None) -> None:
        # urllib3 logs the contents of broken headers, with a traceback; an origin must not write to our log.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._private_cas = {canonical_host(host): str(path) for host, path in (private_cas or {}).items()}
        self._pools = PoolManager(num_pools=HOSTS, maxsize=CONNECTIONS)
        self._pools.pool_classes_by_scheme = _pool_classes(policy)

    def send(
        self, target: Target, headers: Mapping[str, str], connect_s: float, read_s: float, body: bytes | None = None
    ) -> BaseHTTPResponse:
        """Send a GET, or a POST if there is a body; return the response, with its own body unread. Raises what urllib3 raises."""
        scheme, host, port = target.peer
        tls = {}
        if scheme == "https":
            authorities = self._private_cas.get(host) or certifi.where()
            tls = {"ssl_context": _tls_context(authorities), "cert_reqs": "CERT_REQUIRED"}
        pool = self._pools.connection_from_host(host, port, scheme, pool_kwargs=tls)
        return pool.urlopen(
            "GET" if body is None else "POST",
            split_url(target.url).request_uri,  # without dot segments, as browsers send it
            body=body,
            headers=headers,
            timeout=Timeout(connect=connect_s, read=read_s),
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._pools.clear()
