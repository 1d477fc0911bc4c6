"""The service, as somebody on the same machine sees it: does it answer, and what does it say. Loopback only, one second."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

from config import Settings
from image_cache.maintenance.health import Check

PATIENCE_S = 2.0
MOST_BYTES = 200_000
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  where to ask when it listens everywhere


@dataclass(frozen=True, slots=True)
class RunningService:
    """The address that the service of these settings listens on. Asking it never raises."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"http://{'[' + self.host + ']' if ':' in self.host else self.host}:{self.port}/"

    def answers(self) -> bool:
        """Tell whether something listens there."""
        try:
            with socket.create_connection((self.host, self.port), timeout=PATIENCE_S):
                return True
        except OSError:
            return False

    def stats(self) -> dict[str, Any] | None:
        """Return its numbers of this moment, with what it has not written yet; None when it does not say."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/api/cache/stats", headers={"Host": f"localhost:{self.port}", "Connection": "close"})
            answer = connection.getresponse()
            found = json.loads(answer.read(MOST_BYTES)) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return found if isinstance(found, dict) and "memory_used_bytes" in found else None

    def check(self, is_answering: bool) -> Check:
        if is_answering:
            return Check("Service", "well", f"It answers on {self.address}.")
        return Check(
            "Service",
            "warning",
            f"It does not answer on {self.address}.",
            "sudo systemctl start vinylvault; journalctl -u vinylvault -n 50 says why it ended.",
        )


def service_of(settings: Settings) -> RunningService:
    return RunningService(EVERYWHERE.get(settings.HOST, settings.HOST), settings.PORT)
