"""URLs, parsed strictly, and IP addresses, checked against the registries of special-purpose networks.

Opens no connection. `net/policy.py` decides what may be contacted.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from image_cache.errors import OriginDenied
from image_cache.frozen import frozen

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_CHARS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
LOCAL_SCHEMES = ("own", "music", "demo")  # of images on this server; only our own code writes such URLs into the catalogue

# Parsers disagree about these (a browser reads a backslash as a slash, urllib drops tabs), so no URL may hold one.
ILLEGAL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]@%]+))(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH_SAFE = "!$%&'()*+,-./:;=?@[]_~"

# Names that exist only in local networks and data centres; none of them is a public top-level domain.
PRIVATE_SUFFIXES = frozenset(
    {"alt", "arpa", "corp", "domain", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost"}
    | {"mail", "onion", "private", "workgroup"}
)


class Endpoint(NamedTuple):
    """The target of a connection. `host` is a lower-case ASCII name without a final dot, or an IP address without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}")


@frozen
class Target:
    """A parsed URL. `url` is rebuilt from its parts: ASCII, without fragment, so that every later parser reads the same."""

    url: str
    peer: Endpoint


def parse_url(url: str) -> Target:
    """Parse an http(s) URL. Raises `OriginDenied` with the reason for anything that two parsers could read differently."""
    if not isinstance(url, str):
        raise OriginDenied(repr(url)[:200], "the URL must be text")
    if len(url) > MAX_URL_CHARS:
        raise OriginDenied(url[:200], f"the URL is longer than {MAX_URL_CHARS} characters")
    try:
        return _parse(url)
    except ValueError as error:  # UnicodeError among them
        reason = "not a valid URL" if isinstance(error, UnicodeError) else str(error)
        raise OriginDenied(url, reason) from error


def _parse(url: str) -> Target:
    if ILLEGAL.search(url):
        raise ValueError("the URL contains a control character or a backslash")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError("only http:// and https:// URLs are supported")
    scheme, authority, rest = parts[1].lower(), parts[2], parts[3]
    if "@" in authority:
        raise ValueError("the URL contains a user name or password")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise ValueError("the URL has an invalid host name")
    host = _canonical_ipv6(found[1]) if found[1] else canonical_host(found[2])
    port = int(found[3]) if found[3] else DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65535:
        raise ValueError("the URL has an invalid port")
    peer = Endpoint(scheme, host, port)
    path = quote(rest if rest.startswith("/") else "/" + rest, safe=_PATH_SAFE)
    full = f"{peer}{path}"
    if len(full) > MAX_URL_CHARS:
        raise ValueError(f"the URL is longer than {MAX_URL_CHARS} characters")
    return Target(full, peer)


@lru_cache(maxsize=256)  # most covers come from a few hosts
def canonical_host(text: str) -> str:
    """Return the canonical form of a host: lower case, IDNA A-labels, no final dot. Raises ValueError for a non-canonical IPv4 address."""
    name = text.lower()
    rooted = name.endswith(".")
    labels = (name[:-1] if rooted else name).split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # WHATWG URL: a host that ends in a number is an IPv4 address. Octal, hex, short and dword forms are refused, not read.
        if rooted or not isinstance(ip_literal(name), ipaddress.IPv4Address):
            raise ValueError("unusual IPv4 notation")
        return name
    host = ".".join(_label(label) for label in labels)
    if len(host) > 253:
        raise ValueError("the host name is too long")
    return host


def _canonical_ipv6(text: str) -> str:
    address = ip_literal(text)
    if not isinstance(address, ipaddress.IPv6Address):
        raise ValueError("invalid IPv6 address")  # noqa: TRY004 - the text is wrong, not its type
    return address.compressed


def _label(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        if not _LABEL.fullmatch(label):
            raise ValueError("invalid host name")
        return label
    import idna  # its tables are 300 KB; most vaults never need them

    # IDNA 2008 without the UTS 46 mapping: characters that it would map (full-width digits, soft hyphens) are refused.
    return (idna.alabel(idna.ulabel(label)) if label.isascii() else idna.alabel(label)).decode("ascii")


def ip_literal(host: str) -> Address | None:
    """Return the IP address that a canonical host is, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_private_name(host: str) -> bool:
    """Return True if a name (not an IP address) is local: a single label, or a suffix that is not public."""
    _, dot, suffix = host.rpartition(".")
    return not dot or suffix in PRIVATE_SUFFIXES


def host_queue(url: str) -> str:
    """Return the host queue of a URL, its lower-case `host[:port]`; empty if the URL cannot be fetched. Never raises.

    Images on this server have queues of their own, one for each music folder: a slow disk delays nothing else.
    """
    if (scheme := url.partition(":")[0]) in LOCAL_SCHEMES:
        return url.partition("/")[0][:80] if scheme == "music" else scheme
    try:
        peer = parse_url(url).peer
    except OriginDenied:
        return ""
    return str(peer).removeprefix(f"{peer.scheme}://")


# Source: IANA special-purpose address registries (IPv4, IPv6), 2026-10: networks that are not globally reachable, and old tunnels.
_V4_REFUSED: tuple[tuple[ipaddress.IPv4Network, str], ...] = tuple(
    (ipaddress.IPv4Network(net), what)
    for net, what in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "machine-room metadata"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT relay"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
# Outside 2000::/3 nothing is global unicast: loopback, ULA, link-local, site-local, multicast, and the IPv4 embeddings
# (mapped, compatible, translated, NAT64) all fall out by this one line.
_V6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_V6_REFUSED: tuple[tuple[ipaddress.IPv6Network, str], ...] = tuple(
    (ipaddress.IPv6Network(net), what)
    for net, what in (
        ("2001::/23", "protocol assignments (Teredo, ORCHID)"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
    )
)
_LOCAL_V4 = re.compile(r"\|-- ([0-9.]+)\n +/32 host LOCAL")
_ISATAP = (0x00005EFE, 0x02005EFE)  # upper half of an interface identifier that hides an IPv4 address (RFC 5214)


def refusal_reason(address: Address, local: Iterable[Network] = ()) -> str:
    """Return why an address must not be contacted, or "" if it is public. `local`: the networks of this server."""
    if isinstance(address, ipaddress.IPv4Address):
        reason = next((what for net, what in _V4_REFUSED if address in net), "")
    elif address not in _V6_GLOBAL:
        reason = "not global unicast"
    elif (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        reason = "ISATAP"
    else:
        reason = next((what for net, what in _V6_REFUSED if address in net), "")
    return reason or ("a network of this server" if any(address in net for net in local) else "")


def client_network(address: str) -> str:
    """Return what is counted as one client: an IPv4 address, or the /64 of an IPv6 address. Other text is returned unchanged."""
    parsed = ip_literal(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return address


def interface_networks() -> list[Network]:
    """Return the networks of this server: its IPv4 addresses, and the IPv6 /64 of each of its addresses.

    Home networks have public IPv6 prefixes: only the shared /64 tells a printer there from the Internet. Read on every call
    (about 0.1 ms), because providers change the prefix at night. Empty if the system does not provide it.
    """
    found: list[Network] = [
        ipaddress.IPv6Network((int(line.split()[0], 16), 64), strict=False) for line in _read_proc_net("if_inet6").splitlines()
    ]
    found += [ipaddress.IPv4Network(address) for address in set(_LOCAL_V4.findall(_read_proc_net("fib_trie")))]
    return found


def _read_proc_net(name: str) -> str:
    # /proc instead of netlink: the service unit allows no netlink socket.
    try:
        return Path("/proc/self/net", name).read_text(encoding="ascii")
    except OSError:  # no IPv6, or not Linux
        return ""
