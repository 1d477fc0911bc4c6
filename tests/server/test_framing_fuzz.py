"""Differential fuzz of the request framing: our buffer, the fast path and gunicorn's own parser read 20,000 streams alike.

Each stream is one to three requests from a grammar of what clients and attackers send, some of them damaged. Where gunicorn alone
would read a request that we refuse, we are strict, and the kinds of that are listed here. Never may we read another request than
gunicorn, or one that it refuses.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser

from image_cache.engine.key import Key
from image_cache.server.fast_path import FastPath, Stored
from image_cache.server.request_framing import MAX_HEADERS, RequestBuffer

CASES, BATCHES = 20_000, 4
# How we refuse what gunicorn would read: a line break of one byte, a size of more than eight digits, two types, a target that is no
# path; a length over 18 digits; a coding besides chunked; a body that was cut, which gunicorn hands over as it is.
STRICTER = {"400 Bad Request", "413 Content Too Large", "501 Not Implemented", "unfinished"}
COVER = f"/cache/detail/{'a' * 64}.webp"
Request = tuple[str, str, str, bytes]  # method, target, host, body

ODD = 0.06  # how often a part of a request is not as it should be
# What is usual, and what is odd.
METHODS = ["GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"], ["get", "G T", "", "M" * 21, "PO\x00ST", "PRI"]
TARGETS = (
    ["/", "/a", "/a?b=c", COVER, COVER],
    ["*", "http://other/a", "http://other", "//x", "x", "/a b", "", "/\xff", "/%00", "/#f", "/\t"],
)
VERSIONS = ["HTTP/1.1"], ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/11", "HTTP/1.", ""]
HOSTS = [["Host: x"]], [[], ["Host: x", "Host: y"], ["host:x"], ["Host: "]]
LENGTHS = (
    ["{n}"],
    [
        "0{n}",
        "+{n}",
        "-1",
        "{n}, {n}",
        "{n} ",
        " {n}",
        "0x{n}",
        "{n}.0",
        "",
        "9" * 19,
        "1_0",
        "\xb2",
        "{n}\x00",
        "{more}",
        "{less}",
    ],
)
CODINGS = (
    ["chunked"],
    [
        "Chunked",
        "chunked ",
        "\tchunked",
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "xchunked",
        "chunked;a=b",
        '"chunked"',
        "",
        "\x0bchunked",
        "chunked\x00",
    ],
)
OTHERS = (
    [
        "A: b",
        "A:b",
        "Cookie: a=b; c=d",
        "Content-Type: a/b",
        'If-None-Match: "x"',
        "Expect: 100-continue",
        "Connection: keep-alive",
    ],
    [
        "A:",
        "A : b",
        ": b",
        "A b",
        " folded: x",
        "\tfolded",
        "A: b\x00c",
        "A: \xe9",
        "A\xe9: b",
        "X" * 70 + ": y",
        "A: b\rc",
        "A_B: c",
        'If-None-Match: "y"',
        'if-none-match: "x"',
        "Range: bytes=0-1",
        "Connection: close",
        "Connection: Upgrade",
        "Upgrade: h2c",
        "Trailer: X-T",
        "Expect: other",
        "Content-Type: c/d",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Host: second",
    ],
)
SIZES = (
    ["{s:x}", "{s:x}", "{s:X}", "0{s:x}", "{s:x};a=b"],
    [
        "{s:x} ",
        " {s:x}",
        '{s:x};a="b;c"',
        "{s:x};",
        "{s:x} ;a",
        "0x{s:x}",
        "-{s:x}",
        "{s:x}g",
        "",
        "{s:x};a\rb",
        "{s:x}\x00",
        "00000000{s:x}",
        "+{s:x}",
        "{s:x}_0",
    ],
)
LAST = ["0", "0", "00"], ["0;a=b", "", "-0", "0 0"]
TRAILERS = ["", "", "X-T: a\r\n"], ["X-T a\r\n", "Content-Length: 5\r\n", " x: y\r\n", "X-T: a\n"]
ENDS = ["\r\n"], ["\n", "\r", "\r\n\r\n", "\r\r\n", "", " \r\n"]
DAMAGE = [b"", b"\r", b"\n", b"\r\n", b" ", b"\0", b"0", b":", b"\xff", b"a"]


def pick(chance: random.Random, choices: tuple[list[Any], list[Any]], odd: float = ODD) -> Any:
    return chance.choice(choices[chance.random() < odd])


class AlwaysWarm:
    """A source that has every cover."""

    generation = 0

    def find(self, path: str) -> Stored | None:
        return Stored(Key("covers", "detail", "a"), '"x"', [], [], path.encode())

    def record_uses(self, uses: Mapping[Key, int]) -> None:
        pass


def chunked(chance: random.Random, body: bytes) -> str:
    parts, at = [], 0
    while at < len(body):
        size = chance.randint(1, len(body) - at)
        parts += [pick(chance, SIZES, 0.02).format(s=size), pick(chance, ENDS, 0.01)]
        parts += [body[at : at + size].decode("latin-1"), pick(chance, ENDS, 0.01)]
        at += size
    return "".join([*parts, pick(chance, LAST), pick(chance, ENDS, 0.01), pick(chance, TRAILERS), pick(chance, ENDS, 0.01)])


def request(chance: random.Random) -> bytes:
    body = bytes(chance.choices(b"ab\r\n0;GET /:", k=chance.choice([0, 0, 1, 5, 40, 300])))
    lines = [" ".join([pick(chance, METHODS), pick(chance, TARGETS), pick(chance, VERSIONS)]), *pick(chance, HOSTS)]
    lines += [pick(chance, OTHERS, 0.2) for _ in range(chance.choice([0, 0, 1, 1, 2, 3]))]
    framing, sent = chance.random(), ""
    if framing < 0.3:
        fields = {"n": len(body), "more": len(body) + 3, "less": max(0, len(body) - 3)}
        lines.append("Content-Length: " + pick(chance, LENGTHS).format(**fields))
        sent = body.decode("latin-1")
    elif framing < 0.6:
        lines.append("Transfer-Encoding: " + pick(chance, CODINGS))
        sent = chunked(chance, body)
    elif framing < 0.62:
        lines += [f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"]
        sent = chunked(chance, body)
    if chance.random() < 0.01:
        lines += ["A: b"] * MAX_HEADERS
    return ("".join(line + pick(chance, ENDS, 0.005) for line in lines) + pick(chance, ENDS, 0.01) + sent).encode("latin-1")


def stream(chance: random.Random) -> bytes:
    data = bytearray(b"".join(request(chance) for _ in range(chance.choice([1, 1, 2, 3]))))
    for _ in range(chance.choice([0, 0, 0, 0, 1, 2])):
        at = chance.randrange(len(data))
        data[at : at + chance.choice([0, 1, 1, 5])] = chance.choice(
            [b"", b"\r", b"\n", b"\r\n", b" ", b"\0", b"0", b":", b"\xff", b"a"]
        )
    return bytes(data)


def config() -> Config:
    made = Config()
    made.set("limit_request_line", 8190)
    made.set("limit_request_fields", MAX_HEADERS)
    return made


CONFIG = config()


def next_of(parser: Any) -> tuple[Request | str, bool]:
    """Return what gunicorn's parser reads next, or the name of an error, and whether the connection is over after that."""
    try:
        found = next(parser)
        hosts = [value for name, value in found.headers if name == "HOST"]
        absolute = re.fullmatch("https?://([^/]+)(/.*)?", found.uri)
        target, host = (absolute[2] or "/", absolute[1]) if absolute else (found.uri, ",".join(hosts))  # RFC 9112, 3.2.2
        return (found.method, target, host, found.body.read()), found.should_close()
    except Exception as error:  # noqa: BLE001
        return type(error).__name__, True


def read_by_gunicorn(data: bytes) -> Iterator[Request | str]:
    parser, is_over = get_parser(CONFIG, iter([data]), ("192.0.2.1", 1)), False
    while not is_over:
        found, is_over = next_of(parser)
        yield found


def read_by_us(data: bytes, chance: random.Random, most: int) -> Iterator[Request | str]:
    """Yield what our server reads when the bytes arrive in pieces of at most that size."""
    at, rest, is_over = 0, b"", False
    while not is_over and (rest or at < len(data)):
        buffer = RequestBuffer()
        if rest:
            buffer.feed(rest)
        while not buffer.is_complete and not buffer.error and at < len(data):
            step = chance.randint(1, most)
            buffer.feed(data[at : at + step])
            at += step
        if buffer.error or not buffer.is_complete or buffer.has_large_body:
            yield buffer.error or ("413" if buffer.is_complete else "unfinished")
            return
        found, is_over = next_of(get_parser(CONFIG, buffer.pieces(), ("192.0.2.1", 1)))
        yield found
        rest = buffer.take_rest()


def differences(ours: list[Request | str], theirs: list[Request | str]) -> str:
    """Return how the readings differ: "" if they do not, the error if we are stricter, else a text that begins with !"""
    for one, other in zip(ours, theirs, strict=False):
        if isinstance(one, str):
            return "" if isinstance(other, str) else one
        if isinstance(other, str):
            return f"!we read {one}, gunicorn says {other}"
        if one != other:
            return f"!{one} is not {other}"
    return ""


@pytest.mark.parametrize("seed", range(BATCHES))
def test_we_read_what_gunicorn_reads_or_refuse(seed: int) -> None:
    chance = random.Random(seed)
    fast_path = FastPath(AlwaysWarm(), "gunicorn")
    stricter: Counter[str] = Counter()
    bad: list[tuple[str, bytes]] = []
    read = fast = 0
    for _ in range(CASES // BATCHES):
        data = stream(chance)
        ours = list(read_by_us(data, chance, 100_000))
        assert ours == list(read_by_us(data, chance, chance.choice([1, 3, 50]))), data
        kind = differences(ours, list(read_by_gunicorn(data)))
        if kind.startswith("!"):
            bad.append((kind, data))
        elif kind:
            stricter[kind] += 1
        read += sum(not isinstance(one, str) for one in ours)
        answer = fast_path.respond(data)
        if answer is not None:
            fast += 1
            assert [(one[0], one[1], one[3]) for one in ours] == [("GET", data.split()[1].decode(), b"")], (data, ours)
    assert not bad, (len(bad), bad[:5])
    assert set(stricter) <= STRICTER, stricter
    assert read > CASES // BATCHES // 4, "the grammar makes requests that are read"
    assert fast > 9
