"""Request framing: a request is complete with its last byte, however it is split into pieces."""

import random

import pytest

from config import MAX_BODY_BYTES
from image_cache.server.request_framing import MAX_HEAD_BYTES, RequestBuffer

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b'POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n6;note="0"\r\n world\r\n0\r\n\r\n'
TRAILERS = b"POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\nA\r\n0\r\n\r\n0\r\n\r\n\r\n000\r\nX-A: 1\r\nX-B: 2\r\n\r\n"


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED, TRAILERS], ids=["get", "post", "chunked", "trailers"])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_a_request_is_complete_with_its_last_byte(request_bytes: bytes, most: int) -> None:
    chance = random.Random(most)
    for _ in range(20):
        arrival, at = RequestBuffer(), 0
        while at < len(request_bytes):
            assert not arrival.is_complete, request_bytes[:at]
            step = chance.randint(1, most)
            arrival.feed(request_bytes[at : at + step])
            at += step
        assert arrival.is_complete
        assert bytes(arrival.data) == request_bytes


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED, TRAILERS])
def test_bytes_after_a_request_do_not_hide_its_end(request_bytes: bytes) -> None:
    arrival = RequestBuffer()
    arrival.feed(request_bytes + GET[:9])
    assert arrival.is_complete


@pytest.mark.parametrize(
    "body",
    [
        f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n",
        "Content-Length: 999999999999999999\r\n\r\n",
        f"Transfer-Encoding: chunked\r\n\r\n{MAX_BODY_BYTES + 1:x}\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    ],
)
def test_a_body_that_is_too_large_is_not_waited_for(body: str) -> None:
    arrival = RequestBuffer()
    arrival.feed(b"POST / HTTP/1.1\r\n" + body.encode())
    assert arrival.is_complete
    assert arrival.has_large_body


def test_endless_headers_are_detected() -> None:
    arrival = RequestBuffer()
    for _ in range(MAX_HEAD_BYTES // 100):
        arrival.feed(b"x" * 100)
        assert not arrival.has_large_head
    arrival.feed(b"x" * 100)
    assert arrival.has_large_head


@pytest.mark.parametrize("junk", [b"zz\r\n", b"-5\r\n", b"x" * 400, b"\r\n" * 200])
def test_a_malformed_chunked_body_is_left_to_the_parser(junk: bytes) -> None:
    arrival = RequestBuffer()
    arrival.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + junk + b"y" * 400)
    assert arrival.is_complete


def test_a_large_body_in_small_chunks_is_read_in_one_pass() -> None:
    """Parsing everything again with each piece would take minutes."""
    arrival = RequestBuffer()
    arrival.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100_000):
        arrival.feed(b"1\r\nx\r\n")
    assert not arrival.is_complete
    arrival.feed(b"0\r\n\r\n")
    assert arrival.is_complete
