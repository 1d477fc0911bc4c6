"""Fixtures that many tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.origin import Origin
from tests.support.vault import Vault


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A real HTTP origin on loopback."""
    with Origin() as running:
        yield running


@pytest.fixture
def vault(origin: Origin, tmp_path: Path) -> Iterator[Vault]:
    """A running server that trusts `origin`, with an empty vault."""
    with Vault(tmp_path / "vault", trusted=(origin.base,)) as running:
        yield running
