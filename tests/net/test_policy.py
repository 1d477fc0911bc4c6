"""Peer policy. DNS and TCP are scripted; everything in between is real."""

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from urllib3 import BaseHTTPResponse

from image_cache.errors import ConfigError, OriginDenied, OriginError, OriginUnavailable
from image_cache.net import deadline
from image_cache.net.client import HttpClient
from image_cache.net.deadline import DeadlineWatcher
from image_cache.net.policy import PeerPolicy, connect_by_tcp, resolve_by_system
from image_cache.net.transport import GuardedTransport
from image_cache.net.url import canonical_host, host_queue, interface_networks, parse_url, refusal_reason
from tests.support.corpora import manifest
from tests.support.origin import ANY, Origin

PUBLIC = {"93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "151.101.1.6"}


class PretendedSocket(socket.socket):
    """A loopback connection that claims to be connected to the public address that was dialled."""

    peer: tuple[str, int]

    def getpeername(self) -> tuple[str, int]:
        return self.peer


class Internet:
    """A scripted policy: names resolve to the given addresses, one list per lookup, and every public address is the canary on loopback."""

    def __init__(self, canary: Origin, dns: dict[str, list[list[str]]]) -> None:
        self.canary = canary
        self.dns = {name: list(answers) for name, answers in dns.items()}
        self.lookups: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.reachable = PUBLIC
        self.dead: set[str] = set()

    def resolve(self, host: str, port: int) -> list[str]:
        self.lookups.append(host)
        answers = self.dns.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.dialled.append((address, port))
        if address not in self.reachable or address in self.dead:
            raise ConnectionRefusedError(111, "nobody there")
        sock = PretendedSocket()
        sock.settimeout(timeout_s)
        sock.connect(("127.0.0.1", self.canary.port))
        sock.peer = (address, port)
        return sock

    def policy(self, *args: object, **kwargs: object) -> PeerPolicy:
        return PeerPolicy(*args, resolve=self.resolve, connect=self.connect, local_networks=list, **kwargs)

    def forbidden(self) -> list[tuple[str, int]]:
        return [(address, port) for address, port in self.dialled if address not in PUBLIC or port not in (80, 443)]


@pytest.fixture(scope="module")
def canary() -> Iterator[Origin]:
    with Origin() as origin:
        origin.put(ANY, b"a picture")
        yield origin


def net(canary: Origin, **dns: list[list[str]]) -> Internet:
    return Internet(canary, {name.replace("_", "."): answers for name, answers in dns.items()})


def fetch(internet: Internet, url: str, **lists: object) -> int:
    fetcher = HttpClient(internet.policy(**lists), deadline_s=30, connect_timeout_s=20, read_timeout_s=20)
    try:
        return fetcher.fetch(url).status
    finally:
        fetcher.close()


# --- the corpora -------------------------------------------------------------------------------------------------------


def run_vector(row: dict[str, str], canary: Origin) -> tuple[str, Internet]:
    setup = json.loads(row["setup"] or "{}")
    internet = Internet(canary, setup.get("dns", {}))
    if row["kind"] == "control":
        internet.reachable = PUBLIC | {"100.128.0.1", "172.32.0.1"}
    redirects = {urlsplit(url).path: to for url, to in setup.get("redirects", {}).items()}
    for path, (status, location) in redirects.items():
        canary.redirect(path, location, status)
    try:
        return f"answered {fetch(internet, row['vector'])}", internet
    except OriginError as error:
        return f"refused: {error}", internet
    finally:
        for path in redirects:
            canary.remove(path)


@pytest.mark.corpus
def test_every_ssrf_vector_is_refused_without_a_forbidden_connect(canary: Origin) -> None:
    rows = manifest("ssrf.csv")
    wrong, forbidden = [], 0
    for row in rows:
        outcome, internet = run_vector(row, canary)
        forbidden += len(internet.forbidden())
        refused = outcome.startswith("refused") or row["expected"] == "never-inside"
        silent = not internet.dialled or "redirects" in row["setup"] or row["expected"] == "never-inside"
        if not refused or not silent or internet.forbidden():
            wrong.append((row["id"], row["vector"][:80], outcome, internet.dialled))
    print(f"\nssrf {len(rows) - len(wrong)}/{len(rows)}, forbidden connects {forbidden}")
    assert wrong == []
    assert len(rows) >= 199


@pytest.mark.corpus
def test_every_harmless_control_still_works(canary: Origin) -> None:
    rows = manifest("ssrf_controls.csv")
    wrong = [(row["id"], outcome) for row in rows if (outcome := run_vector(row, canary)[0]) != "answered 200"]
    print(f"\ncontrols {len(rows) - len(wrong)}/{len(rows)}")
    assert wrong == []
    assert len(rows) >= 13


# --- addresses and names, without the corpora ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.0.0.8", "192.168.0.1"),
        *("198.19.255.255", "192.88.99.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::", "::1", "::ffff:93.184.216.34", "::93.184.216.34", "::ffff:0:93.184.216.34", "64:ff9b::5db8:d822"),
        *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:5db8:d822::1", "2001:4860::5efe:5db8:d822"),
        *("2001:4860::200:5efe:a00:1", "3fff::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1", "fec0::1", "ff02::1"),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert refusal_reason(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "2a00::1"]
)
def test_a_public_address_is_not(address: str) -> None:
    assert refusal_reason(ipaddress.ip_address(address)) == ""


def test_the_networks_of_this_machine_are_refused_although_they_are_public() -> None:
    own = [ipaddress.ip_network("2606:4700:1:2::/64"), ipaddress.ip_network("93.184.216.34/32")]
    assert refusal_reason(ipaddress.ip_address("2606:4700:1:2:ffff::9"), own) == "a network of this server"
    assert refusal_reason(ipaddress.ip_address("93.184.216.34"), own) == "a network of this server"
    assert refusal_reason(ipaddress.ip_address("2606:4700:1:3::9"), own) == ""


def test_an_address_in_our_own_prefix_is_not_dialled(canary: Origin) -> None:
    internet = net(canary, images_example_test=[["2606:2800:220:1:248:1893:25c8:1946"]])
    beside = [ipaddress.ip_network("2606:2800:220:1::/64")]
    policy = PeerPolicy(resolve=internet.resolve, connect=internet.connect, local_networks=lambda: beside)
    with DeadlineWatcher().watch(1) as watch, pytest.raises(OriginDenied, match="network of this server"):
        policy.dial(policy.check("http://images.example.test/").peer, 1, watch)
    assert internet.dialled == []


def test_the_interfaces_of_this_machine_are_read() -> None:
    networks = interface_networks()
    assert ipaddress.ip_network("127.0.0.1/32") in networks
    assert all(network.prefixlen == (32 if network.version == 4 else 64) for network in networks)


@pytest.mark.parametrize(
    ("url", "rebuilt"),
    [
        ("HTTP://Images.Example.TEST", "http://images.example.test/"),
        ("https://images.example.test.:443/a.jpg#top", "https://images.example.test/a.jpg"),
        ("http://images.example.test:443/a", "http://images.example.test:443/a"),
        ("http://images.example.test?x=1", "http://images.example.test/?x=1"),
        ("http://images.example.test/a%20b.png?x=1&y=%2F", "http://images.example.test/a%20b.png?x=1&y=%2F"),
        (
            "http://images.example.test/Björk \u2013 Début.jpg",
            "http://images.example.test/Bj%C3%B6rk%20%E2%80%93%20D%C3%A9but.jpg",
        ),
        ("http://Bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://my_bucket.storage.example/", "http://my_bucket.storage.example/"),
        ("http://[2606:4700:0::1111]:80/", "http://[2606:4700::1111]/"),
    ],
)
def test_a_url_is_rebuilt_from_its_parts(url: str, rebuilt: str) -> None:
    assert parse_url(url).url == rebuilt
    assert parse_url(rebuilt).url == rebuilt


@pytest.mark.parametrize(
    "url",
    [
        *("", "a.jpg", "//a.example/", "ftp://a.example/", "http:/a.example/", "http://", "http:///a", "javascript:alert(1)"),
        *(
            "http://u@a.example/",
            "http://u:p@a.example/",
            "http://a.example\\@b.example/",
            "http://a.example\t/",
            "http://a b.example/",
        ),
        *(
            "http://a.example/\r\nX: 1",
            "http://a.example/\x00",
            "http://a.example:0/",
            "http://a.example:65536/",
            "http://a.example:/",
        ),
        *(
            "http://a.example:\uff18\uff10/",
            "http://a..example/",
            "http://.a.example/",
            "http://-a.example/",
            "http://a%2e.example/",
            "http://*.example/",
        ),
        *(
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://017700000001/",
            "http://2130706433/",
            "http://93.184.216.34./",
            "http://a.example.7/",
        ),
        *("http://[::1", "http://[127.0.0.1]/", "http://[fe80::1%25eth0]/", "http://[v1.a]/", "http://::1/"),
        *(
            "http://\uff11\uff12\uff17.0.0.1/",
            "http://loc\xadalhost.example/",
            "http://xn--a.example/",
            "http://" + "a" * 64 + ".example/",
        ),
        *("http://a.example/" + "a" * 2048, "http://a.example/" + "é" * 1000, "http://a.example/\ud800"),
        *("http://" + "a." * 130 + "example/",),
    ],
)
def test_an_ambiguous_url_is_refused(url: str) -> None:
    with pytest.raises(OriginDenied):
        parse_url(url)


def test_the_url_check_is_linear() -> None:
    start = time.thread_time()  # without the time of other processes
    for text in ("http://" + "a" * 100_000, "http://" + "@" * 100_000, "1." * 50_000, "http://a.example/" + "%" * 100_000):
        with pytest.raises(OriginDenied):
            parse_url(text)
    with pytest.raises(ValueError, match="invalid host name"):
        canonical_host("-" * 100_000)
    assert time.thread_time() - start < 2


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://I.Discogs.com/a/b.jpg", "i.discogs.com"),
        ("http://i.discogs.com:80/", "i.discogs.com"),
        ("http://192.168.1.20:8080/a.jpg", "192.168.1.20:8080"),
        ("https://[2606:4700::1]/", "[2606:4700::1]"),
        ("not an address", ""),
    ],
)
def test_a_host_queue_is_the_host_and_an_unusual_port(url: str, expected: str) -> None:
    assert host_queue(url) == expected


# --- the lists ---------------------------------------------------------------------------------------------------------


def test_a_host_off_the_allowlist_is_refused_before_dns(canary: Origin) -> None:
    internet = net(
        canary, evilexample_com=[["93.184.216.34"]], images_example_com=[["93.184.216.34"]], example_com=[["93.184.216.34"]]
    )
    for url in ("http://evilexample.com/", "http://93.184.216.34/"):
        with pytest.raises(OriginDenied, match="not on the allowlist"):
            fetch(internet, url, allowlist=(".example.com",))
    assert internet.lookups == []
    assert fetch(internet, "http://images.example.com/", allowlist=(".Example.com",)) == 200
    assert fetch(internet, "http://example.com/", allowlist=(".example.com",)) == 200
    with pytest.raises(OriginDenied):
        fetch(internet, "http://images.example.com/", allowlist=("example.com",))


def test_the_denylist_wins_over_every_other_list(canary: Origin) -> None:
    internet = net(canary, images_example_com=[["93.184.216.34"]], cdn_example_org=[["93.184.216.34"]])
    lists = {
        "allowlist": (".example.com",),
        "trusted_origins": ("http://images.example.com:80",),
        "denylist": ("images.example.com",),
    }
    with pytest.raises(OriginDenied, match="denylist"):
        fetch(internet, "http://images.example.com/", **lists)
    assert internet.lookups == []
    with pytest.raises(OriginDenied, match="denylist"):
        fetch(internet, "http://cdn.example.org/", denylist=("93.184.216.34",))
    assert internet.dialled == []


@pytest.mark.parametrize(
    "lists",
    [
        {"trusted_origins": ["ftp://nas:80"]},
        {"trusted_origins": ["http://nas:80/covers"]},
        {"trusted_origins": ["http://user@nas:80"]},
        {"allowlist": ["*.example.com"]},
        {"denylist": ["10.0.0.0/8"]},
    ],
)
def test_an_invalid_list_names_its_setting(lists: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigError, match="VINYL_VAULT_"):
        PeerPolicy(**lists)


def test_a_trusted_origin_is_exactly_one_scheme_host_and_port(canary: Origin) -> None:
    policy = PeerPolicy([canary.base, "http://nas:8080"])
    assert policy.check(canary.url("/a")).url == canary.url("/a")
    assert policy.check("http://NAS:8080/a.jpg").peer.host == "nas"
    for url in (
        f"https://127.0.0.1:{canary.port}/",
        f"http://127.0.0.2:{canary.port}/",
        "http://127.0.0.1/",
        "http://nas/",
        "https://nas:8080/",
    ):
        with pytest.raises(OriginDenied) as caught:
            policy.check(url)
        assert "TRUSTED_ORIGINS" in caught.value.hint


# --- the dial ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers", [["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"], ["93.184.216.34", "fe80::1%eth0"], ["nonsense"]]
)
def test_one_forbidden_address_refuses_the_whole_name(canary: Origin, answers: list[str]) -> None:
    internet = net(canary, mixed_example_test=[answers])
    with pytest.raises(OriginDenied):
        fetch(internet, "http://mixed.example.test/")
    assert internet.dialled == []


def test_a_name_is_resolved_once_per_connection_and_that_address_is_dialled(canary: Origin) -> None:
    internet = net(canary, rebind_example_test=[["93.184.216.34"], ["127.0.0.1"]])
    assert fetch(internet, "http://rebind.example.test/") == 200
    assert (internet.lookups, internet.dialled) == (["rebind.example.test"], [("93.184.216.34", 80)])


def test_the_next_address_is_tried_and_families_alternate(canary: Origin) -> None:
    v6 = ["2606:2800:220:1:248:1893:25c8:1946", "2606:4700::1", "2606:4700::2"]
    internet = net(canary, two_example_test=[[*v6, "93.184.216.34"]])
    internet.dead = set(v6)
    assert fetch(internet, "http://two.example.test/") == 200
    assert [address for address, _ in internet.dialled] == [v6[0], "93.184.216.34"]


def test_at_most_four_addresses_are_tried(canary: Origin) -> None:
    internet = net(canary, many_example_test=[[f"151.101.1.{n}" for n in range(20, 40)]])
    with pytest.raises(OriginUnavailable) as caught:
        fetch(internet, "http://many.example.test/")
    assert (caught.value.kind, len(internet.dialled)) == ("connect", 4)


def test_a_connection_to_another_peer_than_dialled_is_closed(canary: Origin) -> None:
    """A transparent proxy or a patched resolver must not become a way into the local network."""
    internet = net(canary, images_example_test=[["93.184.216.34"]])
    before = canary.count()

    def connect(address: str, port: int, timeout_s: float) -> socket.socket:
        return connect_by_tcp("127.0.0.1", canary.port, timeout_s)

    fetcher = HttpClient(PeerPolicy(resolve=internet.resolve, connect=connect))
    with pytest.raises(OriginDenied, match=r"connected to 127\.0\.0\.1"):
        fetcher.fetch("http://images.example.test/a.jpg")
    fetcher.close()
    assert canary.count() == before


def test_an_ipv6_literal_is_dialled_and_named_in_brackets(canary: Origin) -> None:
    internet = net(canary)
    assert fetch(internet, "http://[2606:2800:220:1:248:1893:25c8:1946]/a.jpg") == 200
    assert internet.lookups == []
    assert canary.requests[-1].headers["host"] == "[2606:2800:220:1:248:1893:25c8:1946]"


def test_the_lists_are_logged_at_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        PeerPolicy(["http://nas:8080"], allowlist=[".example.com"])
    assert [record.getMessage() for record in caplog.records] == [
        "origins limited allowlist=.example.com",
        "origins trusted origins=http://nas:8080",
    ]


def test_every_use_of_the_transport_is_guarded(canary: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment does not weaken it; it follows nothing, and sends no cookie back: origins could fill the memory with them."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    internet = net(canary, images_example_test=[["93.184.216.34"]])
    transport = GuardedTransport(internet.policy())
    canary.put("/r", status=302, headers={"Location": "/a.jpg", "Set-Cookie": "who=me"})

    def get(url: str) -> BaseHTTPResponse:
        return transport.send(parse_url(url), {"Accept": "*/*"}, 3, 5)

    with DeadlineWatcher().watch(30) as watch:
        token = deadline.current_deadline.set(watch)
        statuses = [get("http://images.example.test/r").status for _ in range(2)]
        with pytest.raises(OriginDenied):
            get("http://127.0.0.1/a.jpg")
        deadline.current_deadline.reset(token)
    assert (statuses, internet.forbidden()) == ([302, 302], [])
    assert "cookie" not in canary.requests[-1].headers
    with pytest.raises(RuntimeError, match="inside a fetch"):
        get("http://other.example.test/")
    transport.close()


def test_a_name_that_does_not_exist_is_unavailable_for_now(canary: Origin) -> None:
    with pytest.raises(OriginUnavailable) as caught:
        fetch(net(canary), "http://missing.example.test/")
    assert (caught.value.kind, caught.value.retryable) == ("dns", True)


def test_a_resolver_that_hangs_ends_with_the_deadline(canary: Origin) -> None:
    released = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        released.wait(120)
        return ["93.184.216.34"]

    fetcher = HttpClient(PeerPolicy(resolve=resolve, connect=net(canary).connect), deadline_s=0.2)
    with pytest.raises(OriginUnavailable) as caught:
        fetcher.fetch("http://slow.example.test/")
    assert caught.value.kind == "dns"
    assert not released.is_set(), "nobody waited for it"
    released.set()
    fetcher.close()


def test_the_real_resolver_and_the_real_connect_work_together(canary: Origin) -> None:
    assert "127.0.0.1" in resolve_by_system("localhost", 80)
    fetcher = HttpClient(PeerPolicy([f"http://localhost:{canary.port}"]))
    assert fetcher.fetch(f"http://localhost:{canary.port}/a.jpg").body == b"a picture"
    fetcher.close()
