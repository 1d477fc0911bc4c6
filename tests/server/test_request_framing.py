"""Request framing: judged once and strictly, however a request is split into pieces; what is passed on has a plain length."""

import random
import re
import time

import pytest

from image_cache.config import MAX_BODY_BYTES
from image_cache.server.request_framing import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES, RequestBuffer, _has_bare_break

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;note="0"\r\n world\r\n0\r\n\r\n'
TRAILERS = (
    b"POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding:chunked\r\n\r\nA\r\n0\r\n\r\n0\r\n\r\n\r\n000\r\nX-A: 1\r\nX-B: 2\r\n\r\n"
)
SENT = {
    GET: GET,
    POST: b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world",
    CHUNKED: b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world",
    TRAILERS: b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0\r\n\r\n0\r\n\r\n",
}
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def fed(data: bytes, step: int = 65536) -> RequestBuffer:
    request = RequestBuffer()
    for at in range(0, len(data), step):
        request.feed(data[at : at + step])
    return request


@pytest.mark.parametrize("request_bytes", SENT, ids=["get", "post", "chunked", "trailers"])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_a_request_is_complete_with_its_last_byte_and_passed_on_plainly(request_bytes: bytes, most: int) -> None:
    chance = random.Random(most)
    for _ in range(20):
        request, at = RequestBuffer(), 0
        while at < len(request_bytes):
            assert not request.is_complete, request_bytes[:at]
            step = chance.randint(1, most)
            request.feed(request_bytes[at : at + step])
            assert request.error == ""
            at += step
        assert request.is_complete
        assert b"".join(request.pieces()) == SENT[request_bytes]
        assert request.take_rest() == b""


@pytest.mark.parametrize("request_bytes", SENT)
def test_bytes_after_a_request_belong_to_the_next_one(request_bytes: bytes) -> None:
    request = fed(request_bytes + GET[:9])
    assert request.is_complete
    assert b"".join(request.pieces()) == SENT[request_bytes]
    assert request.take_rest() == GET[:9]


@pytest.mark.parametrize(
    "body",
    [
        f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n",
        "Content-Length: 999999999999999999\r\nConnection: keep-alive\r\n\r\n",
        f"Transfer-Encoding: chunked\r\n\r\n{MAX_BODY_BYTES + 1:x}\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    ],
)
def test_a_body_that_is_too_large_is_not_waited_for_and_the_connection_not_kept(body: str) -> None:
    request = fed(b"POST / HTTP/1.1\r\n" + body.encode())
    assert request.is_complete
    assert request.has_large_body
    head = b"".join(request.pieces()).lower()
    assert head.count(b"\r\nconnection:") == head.count(b"\r\nconnection: close\r\n") == 1
    assert int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]) > MAX_BODY_BYTES


def test_a_large_body_arrives_once_its_limit_is_raised() -> None:
    body = random.Random(1).randbytes(3 * MAX_BODY_BYTES)
    request = RequestBuffer()
    data = b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body + GET
    request.feed(data[:70_000])
    assert request.has_large_body
    request.raise_limit(len(body))
    assert not request.is_complete
    for at in range(70_000, len(data), 65_536):
        request.feed(data[at : at + 65_536])
    assert request.is_complete
    assert request.memory_bytes == len(GET)
    assert b"".join(request.pieces()).endswith(b"\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n" + body)
    assert request.take_rest() == GET
    request.close()


REFUSED = [
    (b"\x16\x03\x01\x02\x00", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n\r\n", 400),
    (b"GET x HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\rc: d\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nExpect: wonders\r\n\r\n", 417),
    (b"GET /" + b"x" * (MAX_LINE_BYTES + 20), 414),
    (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES, 431),
    (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431),
    *[
        (CHUNKED_HEAD + junk, 400)
        for junk in (b"zz", b"-5", b"\r\n", b"5 5\r\n", b"000000005\r\n", b"0x5\r\n", b"5\n", b"5;a\rb\r\n")
    ],
    (CHUNKED_HEAD + b"5;" + b"x" * 300, 400),
    (CHUNKED_HEAD + b"5\r\nhello world", 400),
    (CHUNKED_HEAD + b"0\r\nX-A 1\r\n\r\n", 400),
    (CHUNKED_HEAD + b"0\r\nX-A: 1\n\n", 400),
    (CHUNKED_HEAD + b"0\r\n" + b"X-A: 1\r\n" * 5000, 431),
    (CHUNKED_HEAD + (b"1;" + b"x" * 250 + b"\r\na\r\n") * 2000, 400),
]


@pytest.mark.parametrize("step", [1, 65536])
@pytest.mark.parametrize(("data", "status"), REFUSED, ids=[repr(data[-50:]) for data, _ in REFUSED])
def test_what_is_not_understood_is_refused_at_once(data: bytes, status: int, step: int) -> None:
    assert fed(data, step).error[:3] == str(status)


def test_the_host_of_an_absolute_target_wins() -> None:
    request = fed(b"GET http://one.example:80?a=b HTTP/1.1\r\nHost: two.example\r\nA: b\r\n\r\n")
    assert b"".join(request.pieces()) == b"GET /?a=b HTTP/1.1\r\nHost: one.example:80\r\nA: b\r\n\r\n"


def test_an_empty_line_before_a_request_is_skipped() -> None:
    for step in (1, 100):
        request = fed(b"\r\n\r\n" + GET, step)
        assert request.error == ""
        assert b"".join(request.pieces()) == GET


def test_a_body_in_chunks_of_one_byte_costs_a_single_pass() -> None:
    """Parsing everything again with each piece would take minutes, and so did gunicorn's reader with all of it at once."""
    started = time.process_time()
    request = fed(CHUNKED_HEAD + b"1\r\na\r\n" * 150_000 + b"0\r\n\r\n")
    assert request.is_complete
    assert b"".join(request.pieces()).endswith(b"\r\n\r\n" + b"a" * 150_000)
    assert time.process_time() - started < 5


def test_line_breaks_without_partner_are_found_wherever_the_pieces_end() -> None:
    """The result is that of a regular expression, which took 20 ms for a head of 32 KB."""
    bare, randomly = re.compile(rb"(?<!\r)\n|\r(?=[^\n])"), random.Random(1)
    for _ in range(20_000):
        wire = bytearray(randomly.choices(b"\r\na", k=randomly.randint(0, 9)))
        start = randomly.randint(0, len(wire))
        end = randomly.randint(start, len(wire))
        assert _has_bare_break(wire, start, end) == bool(bare.search(wire, start, end)), (wire, start, end)
