"""A Discogs of its own for the tests of a file, and a clock beside its window of calls."""

from collections.abc import Iterator

import pytest

from tests.support.clock import ShiftedClock
from tests.support.discogs import DiscogsServer


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture(scope="module")
def process() -> Iterator[DiscogsServer]:
    with DiscogsServer(window_s=1.0) as running:
        yield running
