"""The speed of the machine: measured once by a real decoder, and the time limits of images after it."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_cache.covers.machine_speed import COST, MACHINE, MachineSpeed, machine_mark, measured_ms, time_limits
from image_cache.engine.index import Index
from image_cache.errors import DecoderFailed
from image_cache.imaging.decoder import CPU_S, Decoder

pytestmark = pytest.mark.decoder


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with contextlib.closing(Index(tmp_path / "index.db")) as index:
        yield index


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with contextlib.closing(Decoder(256 << 20)) as decoder:
        yield decoder


def remember(index: Index, cost_ms: float, mark: int) -> None:
    with index.database.write() as conn:
        index.set_meta(conn, COST, round(cost_ms * 1000))
        index.set_meta(conn, MACHINE, mark)


def test_a_new_machine_is_measured_once(index: Index, decoder: Decoder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert measured_ms(index) is None
    for _ in range(2):
        MachineSpeed(index, decoder).apply()
    found = measured_ms(index)
    assert found is not None
    assert 1 < found < 60_000
    assert len([line for line in caplog.messages if line.startswith("machine measured")]) == 1


def test_a_slow_machine_gives_each_image_more_time(index: Index, decoder: Decoder) -> None:
    remember(index, 300, machine_mark())
    MachineSpeed(index, decoder).apply()
    assert decoder.cpu_s == 3 * CPU_S
    assert decoder.measure() > 0  # by a child with the new limits


def test_a_card_in_another_machine_is_measured_again(index: Index, decoder: Decoder) -> None:
    remember(index, 5000, machine_mark() ^ 1)
    assert measured_ms(index) is None
    MachineSpeed(index, decoder).apply()
    assert (measured_ms(index) or 0) != 5000


class WatchedDecoder(Decoder):
    """Notes the time that its measurement may take, and fails on request."""

    allowed_s = 0
    fails = False

    def measure(self) -> float:
        self.allowed_s = self.cpu_s
        if self.fails:
            raise DecoderFailed("no response")
        return super().measure()


def test_a_measurement_may_take_as_long_as_on_the_slowest_machine(index: Index) -> None:
    with contextlib.closing(WatchedDecoder(256 << 20)) as decoder:
        decoder.fails = True
        MachineSpeed(index, decoder).apply()
        assert (decoder.allowed_s, decoder.cpu_s) == (6 * CPU_S, CPU_S)
        assert measured_ms(index) is None
        decoder.fails = False
        MachineSpeed(index, decoder).apply()
        assert decoder.allowed_s == 6 * CPU_S
        assert decoder.cpu_s == time_limits(measured_ms(index) or 0)[0]


@pytest.mark.parametrize(("cost_ms", "cpu_s"), [(1, CPU_S), (100, CPU_S), (200, 2 * CPU_S), (1e6, 6 * CPU_S)])
def test_no_machine_gets_less_time_or_more_than_six_times(cost_ms: float, cpu_s: int) -> None:
    assert time_limits(cost_ms) == (cpu_s, 6.0 * cpu_s)


def test_the_mark_is_that_of_the_processor_not_of_its_clock(tmp_path: Path) -> None:
    first, second, other = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    first.write_text("model name\t: A\ncpu MHz\t\t: 1000\n")
    second.write_text("model name\t: A\ncpu MHz\t\t: 2000\n")
    other.write_text("model name\t: B\ncpu MHz\t\t: 1000\n")
    assert machine_mark(first) == machine_mark(second) != machine_mark(other)
