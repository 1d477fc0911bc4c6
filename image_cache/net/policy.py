"""Peer policy: which servers may be contacted, from the URL down to the connected socket.

A name is resolved once per connection, every address must pass, one of them is dialled, and the connected peer is compared with
it. Needs no HTTP library, so that the rules can be checked when the service starts.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from itertools import chain, zip_longest

from image_cache.errors import ConfigError, OriginDenied, OriginUnavailable
from image_cache.net.deadline import Deadline
from image_cache.net.url import (
    Address,
    Endpoint,
    Network,
    Target,
    canonical_host,
    interface_networks,
    ip_literal,
    is_private_name,
    parse_url,
    refusal_reason,
)

logger = logging.getLogger(__name__)

PORTS = (80, 443)
MAX_DIALS = 4  # addresses tried for one connection

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], socket.socket]


def resolve_by_system(host: str, port: int) -> list[str]:
    """Return the addresses of a name in the order of the system. Blocks as long as the system's resolver does."""
    return list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def connect_by_tcp(address: str, port: int, timeout_s: float) -> socket.socket:
    """Open a TCP connection to an IP address."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class HostList:
    """Host names; one with a leading dot includes its subdomains. `.example.com` does not contain `evilexample.com`."""

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
    """The rules of one vault, and the only way to get a socket. Any thread may use it.

    `trusted_origins` are exact `scheme://host:port`; their names, ports and addresses are not checked. The denylist overrides
    everything, the allowlist (if not empty) applies to trusted origins too. `resolve`, `connect` and `local_networks` are what
    tests replace.
    """

    def __init__(
        self,
        trusted_origins: Iterable[str] = (),
        allowlist: Iterable[str] = (),
        denylist: Iterable[str] = (),
        *,
        resolve: Resolve = resolve_by_system,
        connect: Connect = connect_by_tcp,
        local_networks: Callable[[], list[Network]] = interface_networks,
    ) -> None:
        allowlist = tuple(allowlist)
        self._trusted = frozenset(_parse_trusted(origin) for origin in trusted_origins)
        self._allowed = HostList("VINYL_VAULT_ORIGIN_ALLOWLIST", allowlist)
        self._denied = HostList("VINYL_VAULT_ORIGIN_DENYLIST", denylist)
        self._resolve = resolve
        self._connect = connect
        self._local_networks = local_networks
        if self._allowed:
            logger.info("origins limited allowlist=%s", ",".join(allowlist))
        if self._trusted:
            logger.info("origins trusted origins=%s", ",".join(sorted(map(str, self._trusted))))

    def is_trusted(self, peer: Endpoint) -> bool:
        return peer in self._trusted

    def check(self, url: str) -> Target:
        """Parse a URL and check what can be checked before DNS. Raises `OriginDenied`."""
        target = parse_url(url)
        self._check_peer(target.peer, url)
        return target

    def dial(self, peer: Endpoint, timeout_s: float, deadline: Deadline) -> socket.socket:
        """Return a socket connected to an allowed address of `peer`. Raises `OriginDenied`, or `OriginUnavailable` if none responds.

        Each address gets `timeout_s`, all together what is left of the deadline.
        """
        self._check_peer(peer, str(peer))
        addresses = self._addresses(peer, deadline)
        reason = "no address"
        for address in addresses[:MAX_DIALS]:
            if deadline.is_over:
                break
            try:
                sock = self._connect(str(address), peer.port, min(timeout_s, deadline.remaining_s()))
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

    def _check_peer(self, peer: Endpoint, url: str) -> None:
        if peer.host in self._denied:
            raise OriginDenied(url, f"{peer.host} is on the denylist")
        if self._allowed and peer.host not in self._allowed:
            raise OriginDenied(url, f"{peer.host} is not on the allowlist")
        if peer in self._trusted:
            return
        if peer.port not in PORTS:
            raise OriginDenied(url, f"port {peer.port} is not allowed")
        address = ip_literal(peer.host)
        if address is not None:
            self._check_address(peer, address, url)
        elif is_private_name(peer.host):
            raise OriginDenied(url, f"{peer.host} is a local network name")

    def _check_address(self, peer: Endpoint, address: Address, url: str) -> None:
        if str(address) in self._denied:
            raise OriginDenied(url, f"{address} is on the denylist")
        if peer not in self._trusted and (reason := refusal_reason(address, self._local_networks())):
            shown = peer.host if peer.host == str(address) else f"{peer.host} resolves to {address}"
            raise OriginDenied(url, f"{shown}: {reason}")

    def _check_connected(self, peer: Endpoint, address: Address, sock: socket.socket) -> None:
        connected = ip_literal(sock.getpeername()[0])
        if connected != address:
            raise OriginDenied(str(peer), f"connected to {connected} instead of {address} ({peer.host})")
        self._check_address(peer, connected, str(peer))

    def _addresses(self, peer: Endpoint, deadline: Deadline) -> list[Address]:
        address = ip_literal(peer.host)
        if address is not None:
            return [address]
        found: list[Address] = []
        for text in self._resolve_in_thread(peer, deadline):
            address = ip_literal(text)  # the parser keeps a zone (fe80::1%eth0); such a link-local address is refused
            if address is None:
                raise OriginDenied(str(peer), f"{peer.host} resolves to an invalid address")
            self._check_address(peer, address, str(peer))
            found.append(address)
        # Alternating, so that broken IPv6 costs one connect timeout and not four.
        families = ([a for a in found if a.version == found[0].version], [a for a in found if a.version != found[0].version])
        return [a for a in chain.from_iterable(zip_longest(*families)) if a is not None]

    def _resolve_in_thread(self, peer: Endpoint, deadline: Deadline) -> list[str]:
        """Resolve in a separate thread: the system's resolver cannot be interrupted, so it is abandoned when the time is over."""
        addresses: list[str] = []
        errors: list[Exception] = []
        done = threading.Event()

        def run() -> None:
            try:
                addresses.extend(self._resolve(peer.host, peer.port))
            except (OSError, UnicodeError) as error:
                errors.append(error)
            finally:
                done.set()

        threading.Thread(target=run, name="fetch-resolve", daemon=True).start()
        if not done.wait(deadline.remaining_s()):
            raise OriginUnavailable(str(peer), f"DNS lookup of {peer.host} timed out", kind="dns")
        if errors or not addresses:
            raise OriginUnavailable(str(peer), f"DNS lookup of {peer.host} failed", kind="dns") from next(iter(errors), None)
        return addresses


def _parse_trusted(origin: str) -> Endpoint:
    try:
        target = parse_url(origin)
    except OriginDenied as error:
        raise ConfigError("VINYL_VAULT_TRUSTED_ORIGINS", f"{origin!r}: {error.reason}") from error
    if target.url != f"{target.peer}/":
        raise ConfigError("VINYL_VAULT_TRUSTED_ORIGINS", f"{origin!r} must be only scheme://host:port")
    return target.peer
