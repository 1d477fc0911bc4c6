"""HTTP transport for requests: the peer policy, applied where urllib3 makes its sockets.

Redirects, retries and DNS rebinding all pass here. Certificates are always verified against the host name.
"""

import http.client
import logging
import socket
import ssl
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, ClassVar

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from image_cache.net.deadline import current_deadline
from image_cache.net.policy import PeerPolicy
from image_cache.net.url import Endpoint, canonical_host, parse_url

MAX_INTERIM = 20  # responses before the real one


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


class _GuardedAdapter(HTTPAdapter):
    """Takes every connection from the guarded pools: without proxies, and with certificates verified whatever the caller passes."""

    def __init__(self, policy: PeerPolicy, private_cas: Mapping[str, Path]) -> None:
        self._private_cas = {canonical_host(host): path for host, path in private_cas.items()}
        self._contexts: dict[Path | None, ssl.SSLContext] = {}
        super().__init__(pool_connections=8, pool_maxsize=4, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(policy)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        peer = parse_url(request.url).peer
        tls = {"ssl_context": self._context(peer.host), "cert_reqs": "CERT_REQUIRED"} if peer.scheme == "https" else {}
        return self.poolmanager.connection_from_host(peer.host, peer.port, peer.scheme, pool_kwargs=tls)

    def request_url(self, request: Any, proxies: Any) -> Any:
        return request.path_url

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the TLS context of the pool decides, and is loaded once instead of for every connection."""

    def _context(self, host: str) -> ssl.SSLContext:
        path = self._private_cas.get(host)
        if path not in self._contexts:
            self._contexts[path] = ssl.create_default_context(cafile=path or certifi.where())
        return self._contexts[path]


class _Session(requests.Session):
    def get_redirect_target(self, resp: Any) -> None:
        """Return None: otherwise `Session.send` would read the whole body of a redirect into memory to prepare the next request."""


def guarded_session(policy: PeerPolicy, private_cas: Mapping[str, Path] | None = None) -> requests.Session:
    """Return a session that connects only where the policy allows, without cookies and the proxies and passwords of the environment.

    `private_cas`: host to certificate file, for hosts with a private certificate authority.
    """
    # urllib3 logs the contents of broken headers, with a traceback; an origin must not write to our log.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.adapters.clear()
    adapter = _GuardedAdapter(policy, private_cas or {})
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
