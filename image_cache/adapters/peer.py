"""Which servers may be spoken to, enforced where the socket is made.

A connection is only ever dialled to an address that was judged a moment before: the name is resolved once, every answer must pass,
one of those answers is dialled, and the connected peer is compared with it. Redirects, retries and names that change their answer
all come through here. TLS stays as it is: verified against the name, always.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from http.cookiejar import DefaultCookiePolicy
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, ClassVar

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from image_cache.adapters import deadline
from image_cache.adapters.address import (
    Address,
    Network,
    Peer,
    Target,
    canonical_host,
    interface_networks,
    is_private_name,
    literal,
    parse_url,
    refusal,
)
from image_cache.errors import ConfigError, OriginDenied, OriginUnavailable

logger = logging.getLogger(__name__)

PORTS = (80, 443)
MAX_DIALS = 4  # addresses tried for one connection

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], socket.socket]


def resolve_by_system(host: str, port: int) -> list[str]:
    """Return the addresses of a name in the order that the system prefers. Blocks as long as the system's resolver likes."""
    return list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def connect_by_tcp(address: str, port: int, timeout_s: float) -> socket.socket:
    """Open a TCP connection to an IP address; no name is looked up."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class HostList:
    """Hosts by exact name, or with a leading dot a host and all below it. `.example.com` does not hold `evilexample.com`."""

    def __init__(self, setting: str, entries: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._suffixes: list[str] = []
        for entry in entries:
            try:
                host = canonical_host(entry.strip().removeprefix("."))
            except ValueError as error:
                raise ConfigError(setting, f"{entry!r} is not a host: {error}") from error
            self._exact.add(host)
            if entry.strip().startswith("."):
                self._suffixes.append("." + host)

    def __bool__(self) -> bool:
        return bool(self._exact)

    def __contains__(self, host: str) -> bool:
        return host in self._exact or any(host.endswith(suffix) for suffix in self._suffixes)


class PeerPolicy:
    """The rules of one vault, and the only way to a socket. Any thread may use it.

    `trusted_origins` are exact `scheme://host:port`; for them name, port and address are not judged. The denylist wins over
    everything, the allowlist (when it has entries) holds for trusted origins too. `resolve`, `connect` and `own_networks` are the
    edges of the process.
    """

    def __init__(
        self,
        trusted_origins: Iterable[str] = (),
        allowlist: Iterable[str] = (),
        denylist: Iterable[str] = (),
        *,
        resolve: Resolve = resolve_by_system,
        connect: Connect = connect_by_tcp,
        own_networks: Callable[[], list[Network]] = interface_networks,
    ) -> None:
        self._trusted = frozenset(_trusted(origin) for origin in trusted_origins)
        self._allowed = HostList("VINYL_VAULT_ORIGIN_ALLOWLIST", allowlist)
        self._denied = HostList("VINYL_VAULT_ORIGIN_DENYLIST", denylist)
        self._resolve = resolve
        self._connect = connect
        self._own_networks = own_networks
        if self._allowed:
            logger.info("origins limited allowlist=%s", ",".join(allowlist))
        if self._trusted:
            logger.info("origins trusted origins=%s", ",".join(sorted(map(str, self._trusted))))

    def is_trusted(self, peer: Peer) -> bool:
        return peer in self._trusted

    def check(self, url: str) -> Target:
        """Take a URL apart and judge what can be judged before DNS. Raises `OriginDenied`."""
        target = parse_url(url)
        self._check_peer(target.peer, url)
        return target

    def dial(self, peer: Peer, timeout_s: float, watch: deadline.Watch) -> socket.socket:
        """Return a socket to an address of `peer` that was judged. Raises `OriginDenied`, or `OriginUnavailable` when none answers.

        An address gets `timeout_s`, all together what is left of the watch.
        """
        self._check_peer(peer, str(peer))
        addresses = self._addresses(peer, watch)
        reason = "no address"
        for address in addresses[:MAX_DIALS]:
            if watch.is_over:
                break
            try:
                sock = self._connect(str(address), peer.port, min(timeout_s, watch.remaining_s()))
            except OSError as error:
                reason = error.strerror or "timed out"
                continue
            try:
                self._check_connected(peer, address, sock)
            except BaseException:
                sock.close()
                raise
            return sock
        raise OriginUnavailable(str(peer), f"cannot connect to {peer}: {reason}", kind="connect")

    def _check_peer(self, peer: Peer, url: str) -> None:
        if peer.host in self._denied:
            raise OriginDenied(url, f"{peer.host} is on the denylist")
        if self._allowed and peer.host not in self._allowed:
            raise OriginDenied(url, f"{peer.host} is not on the allowlist")
        if peer in self._trusted:
            return
        if peer.port not in PORTS:
            raise OriginDenied(url, f"port {peer.port} is not a web port")
        address = literal(peer.host)
        if address is not None:
            self._check_address(peer, address, url)
        elif is_private_name(peer.host):
            raise OriginDenied(url, f"{peer.host} is a name inside a network")

    def _check_address(self, peer: Peer, address: Address, url: str) -> None:
        if str(address) in self._denied:
            raise OriginDenied(url, f"{address} is on the denylist")
        if peer not in self._trusted and (reason := refusal(address, self._own_networks())):
            shown = peer.host if peer.host == str(address) else f"{peer.host} leads to {address}"
            raise OriginDenied(url, f"{shown}: {reason}")

    def _check_connected(self, peer: Peer, address: Address, sock: socket.socket) -> None:
        connected = literal(sock.getpeername()[0])
        if connected != address:
            raise OriginDenied(str(peer), f"{peer.host} was dialled at {address} and answered from {connected}")
        self._check_address(peer, connected, str(peer))

    def _addresses(self, peer: Peer, watch: deadline.Watch) -> list[Address]:
        address = literal(peer.host)
        if address is not None:
            return [address]
        found: list[Address] = []
        for answer in self._look_up(peer, watch):
            address = literal(answer)  # a zone (fe80::1%eth0) is kept by the parser; link-local is refused with it
            if address is None:
                raise OriginDenied(str(peer), f"{peer.host} resolves to something that is no address")
            self._check_address(peer, address, str(peer))
            found.append(address)
        # By turns, so that a broken IPv6 costs one connect timeout and not four.
        families = ([a for a in found if a.version == found[0].version], [a for a in found if a.version != found[0].version])
        return [a for a in chain.from_iterable(zip_longest(*families)) if a is not None]

    def _look_up(self, peer: Peer, watch: deadline.Watch) -> list[str]:
        """Resolve in a thread of its own: the system's resolver cannot be interrupted, so it is left behind when the time is over."""
        answers: list[str] = []
        errors: list[Exception] = []
        done = threading.Event()

        def look_up() -> None:
            try:
                answers.extend(self._resolve(peer.host, peer.port))
            except (OSError, UnicodeError) as error:
                errors.append(error)
            finally:
                done.set()

        threading.Thread(target=look_up, name="fetch-resolve", daemon=True).start()
        if not done.wait(watch.remaining_s()):
            raise OriginUnavailable(str(peer), f"the name {peer.host} was not resolved in time", kind="dns")
        if errors or not answers:
            raise OriginUnavailable(str(peer), f"the name {peer.host} cannot be resolved", kind="dns") from next(
                iter(errors), None
            )
        return answers


def _trusted(origin: str) -> Peer:
    try:
        target = parse_url(origin)
    except OriginDenied as error:
        raise ConfigError("VINYL_VAULT_TRUSTED_ORIGINS", f"{origin!r}: {error.reason}") from error
    if target.url != f"{target.peer}/":
        raise ConfigError("VINYL_VAULT_TRUSTED_ORIGINS", f"{origin!r} has more than scheme://host:port")
    return target.peer


class _Guarded(HTTPConnection):
    """A connection whose socket comes from the policy, and is known to the watch of the fetch that waits on it."""

    policy: ClassVar[PeerPolicy]
    scheme: ClassVar[str]

    def _new_conn(self) -> socket.socket:
        watch = deadline.current.get()
        if watch is None:
            raise RuntimeError("a guarded connection is only made inside a fetch")
        peer = Peer(self.scheme, self.host.strip("[]"), self.port)
        timeout_s = float(self.timeout or watch.seconds)
        sock = self.policy.dial(peer, timeout_s, watch)
        sock.settimeout(min(timeout_s, max(watch.remaining_s(), 0.001)))  # of the TLS handshake, which counts in all
        return sock

    def getresponse(self) -> Any:
        # Here every connection passes, new or from the pool, and from here on it may wait for long.
        watch = deadline.current.get()
        if watch is not None and self.sock is not None:
            watch.guard(self.sock)
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
    """Takes every connection from our pools: no proxy, and certificates are verified whatever the caller says."""

    def __init__(self, policy: PeerPolicy, private_cas: Mapping[str, Path]) -> None:
        self._private_cas = {canonical_host(host): path for host, path in private_cas.items()}
        self._contexts: dict[Path | None, ssl.SSLContext] = {}
        super().__init__(pool_connections=8, pool_maxsize=4, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(policy)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        peer = parse_url(request.url).peer
        tls = {"ssl_context": self._context(peer.host), "cert_reqs": "CERT_REQUIRED"} if peer.scheme == "https" else {}
        return self.poolmanager.connection_from_host(peer.host, peer.port, peer.scheme, pool_kwargs=tls)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do: the context of the pool decides, and is read once instead of for every connection."""

    def _context(self, host: str) -> ssl.SSLContext:
        path = self._private_cas.get(host)
        if path not in self._contexts:
            self._contexts[path] = ssl.create_default_context(cafile=path or certifi.where())
        return self._contexts[path]


class _Session(requests.Session):
    def get_redirect_target(self, resp: Any) -> None:
        """Never: `Session.send` would read the whole body of a redirect into memory to prepare the next request."""


def guarded_session(policy: PeerPolicy, private_cas: Mapping[str, Path] | None = None) -> requests.Session:
    """Return a session that speaks only to whom the policy allows, and forgets cookies, proxies and passwords of its environment.

    `private_cas` names the certificate file of a host with an authority of its own.
    """
    # urllib3 logs what an origin sent in broken headers, with a traceback; an origin does not write our log.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.adapters.clear()
    adapter = _GuardedAdapter(policy, private_cas or {})
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
