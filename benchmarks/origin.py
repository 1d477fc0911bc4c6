"""The origin of the cold runs, its own process: `python -m benchmarks.origin COUNT` draws covers and serves them."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.pictures import cover


class Covers(BaseHTTPRequestHandler):
    """Answers `/anything/N.jpg` with cover N, whatever the query says."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes] = []

    def do_GET(self) -> None:
        body = self.bodies[int(self.path.partition("?")[0].rpartition("/")[2].removesuffix(".jpg"))]
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a log line costs as much as the answer."""


def main() -> None:
    Covers.bodies = [cover(number) for number in range(int(sys.argv[1]))]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Covers)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
